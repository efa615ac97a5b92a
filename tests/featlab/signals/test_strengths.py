"""Strengths of models: generated ones are found again, and nothing but the battles matters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from featlab.errors import BattleError, ConfigError
from featlab.signals.identity.model_families import family
from featlab.signals.identity.strengths import Strengths, bootstrap_strengths, fit_strengths

MODELS = [f"model-{index:02d}" for index in range(12)]


def draw_battles(count: int, tie: float, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Battles drawn from Davidson's model, and the strengths they were drawn with."""
    generator = np.random.default_rng(seed)
    strength = generator.normal(size=len(MODELS))
    strength -= strength.mean()
    first = generator.integers(0, len(MODELS), count)
    second = (first + generator.integers(1, len(MODELS), count)) % len(MODELS)
    half = (strength[first] - strength[second]) / 2
    weights = np.exp(np.stack([half, -half, np.full(count, tie)], axis=1))
    limits = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    label = (generator.uniform(size=(count, 1)) > limits[:, :2]).sum(axis=1)
    frame = pl.DataFrame(
        {
            "model_a": [MODELS[index] for index in first],
            "model_b": [MODELS[index] for index in second],
            "label": label.astype(np.int8),
        }
    )
    return frame, strength


def fit(frame: pl.DataFrame, **options: object) -> Strengths:
    return fit_strengths(frame["model_a"], frame["model_b"], frame["label"], **options)


@pytest.mark.parametrize("tie", [-1.0, 0.5])
def test_strengths_and_ties_are_those_the_battles_were_drawn_with(tie: float) -> None:
    frame, strength = draw_battles(20_000, tie)
    found = fit(frame)
    assert list(found.names) == MODELS
    assert np.abs(found.strength - strength).max() < 0.15
    assert abs(found.tie - tie) < 0.06
    assert np.abs(found.tie_propensity).max() < 0.1
    assert abs(found.strength.mean()) < 1e-9


def test_the_fit_is_that_of_a_plain_search_on_single_battles() -> None:
    frame, _ = draw_battles(300, 0.3)
    generator = np.random.default_rng(2)
    weights, known = generator.uniform(0.5, 2.0, 300), generator.uniform(size=300) < 0.7
    models = len(MODELS)
    first, second = (
        frame[side].replace_strict(MODELS, range(models)).to_numpy()
        for side in ("model_a", "model_b")
    )
    label = frame["label"].to_numpy()

    def loss(parameters: np.ndarray) -> float:
        strength, propensity, tie = parameters[:models], parameters[models:-1], parameters[-1]
        half = (strength[first] - strength[second]) / 2
        tied = tie + propensity[first] + propensity[second]
        chances = np.exp(np.stack([half, -half, tied], axis=1))
        # Where there can be no tie, a win says only who is stronger.
        chances[:, 2] *= known | (label == 2)
        own = chances[np.arange(300), label] / chances.sum(axis=1)
        ridge = 2.0 * strength @ strength + 5.0 * propensity @ propensity + 0.01 * tie**2
        return float(ridge / 2 - weights @ np.log(own))

    reference = minimize(loss, np.zeros(2 * models + 1), method="BFGS", options={"gtol": 1e-4}).x
    found = fit(frame, weights=weights, tie_known=known, tie_regularisation=5.0)
    np.testing.assert_allclose(found.strength, reference[:models], atol=1e-4)
    np.testing.assert_allclose(found.tie_propensity, reference[models:-1], atol=1e-4)
    np.testing.assert_allclose(found.tie, reference[-1], atol=1e-4)


def test_the_standard_errors_are_those_of_repeated_draws() -> None:
    errors, stated = [], []
    for seed in range(40):
        frame, strength = draw_battles(1_500, 0.0, seed)
        found = fit(frame, regularisation=1.0)
        errors.append(found.strength - strength)
        stated.append(found.standard_error)
    assert 0.85 < np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(stated))) < 1.15


def test_the_order_and_the_side_of_battles_do_not_matter() -> None:
    frame, _ = draw_battles(400, 0.0)
    found = fit(frame)
    order = np.random.default_rng(1).permutation(400)
    exchanged = frame.rename({"model_a": "model_b", "model_b": "model_a"}).with_columns(
        pl.col("label").replace({0: 1, 1: 0})
    )
    for other in (frame[order], exchanged):
        again = fit(other)
        assert again.names == found.names
        np.testing.assert_allclose(again.strength, found.strength, atol=1e-7)
        np.testing.assert_allclose(again.tie, found.tie, atol=1e-7)


def test_a_weight_counts_like_as_many_battles() -> None:
    frame, _ = draw_battles(200, 0.0)
    times = np.random.default_rng(2).integers(0, 4, 200)
    repeated = frame[np.repeat(np.arange(200), times)]
    weighted = fit(frame, weights=times.astype(np.float64))
    np.testing.assert_allclose(weighted.strength, fit(repeated).strength, atol=1e-7)


def test_battles_of_a_source_without_ties_do_not_lower_the_tie_rate() -> None:
    frame, strength = draw_battles(4_000, 0.5)
    won, _ = draw_battles(4_000, 0.5, seed=0)
    won = won.filter(pl.col("label") != 2)
    both = pl.concat([frame, won])
    known = np.arange(len(both)) < len(frame)
    informed, misled = fit(both, tie_known=known), fit(both)
    assert abs(informed.tie - 0.5) < 0.1
    assert misled.tie < informed.tie - 0.2
    assert np.abs(informed.strength - strength).max() < 0.3


def test_a_model_that_ties_more_gets_the_propensity() -> None:
    frame, _ = draw_battles(3_000, 0.0)
    mine = (pl.col("model_a") == MODELS[0]) | (pl.col("model_b") == MODELS[0])
    tied = frame.with_columns(
        label=pl.when(mine & (pl.int_range(pl.len()) % 2 == 0)).then(2).otherwise("label")
    )
    assert fit(tied, tie_regularisation=1.0).tie_propensity.argmax() == 0
    assert np.abs(fit(tied, tie_regularisation=1e6).tie_propensity).max() < 0.01


def test_probabilities_are_exchanged_with_the_sides_exactly() -> None:
    found = fit(draw_battles(300, 0.0)[0])
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(2, 1_000)) * 20
    given = found.probabilities(first, second, 0.3)
    np.testing.assert_array_equal(found.probabilities(second, first, 0.3), given[:, [1, 0, 2]])
    np.testing.assert_allclose(given.sum(axis=1), 1.0)


def test_all_or_none_tied_stays_finite() -> None:
    frame, _ = draw_battles(60, 0.0)
    for label in (0, 2):
        found = fit(frame.with_columns(label=pl.lit(label)))
        assert np.isfinite(found.strength).all()
        assert np.isfinite(found.tie)


def test_battles_without_two_names_are_left_out() -> None:
    frame, _ = draw_battles(100, 0.0)
    odd = pl.DataFrame(
        {
            "model_a": [None, MODELS[0], "ghost"],
            "model_b": ["ghost", None, "ghost"],
            "label": pl.Series([0, 1, 2], dtype=pl.Int8),
        }
    )
    found = fit(pl.concat([odd, frame]))
    assert "ghost" not in found.names
    np.testing.assert_array_equal(found.strength, fit(frame).strength)
    with pytest.raises(BattleError, match="none names two different models"):
        fit(odd)


def test_wrong_settings_are_refused() -> None:
    frame, _ = draw_battles(10, 0.0)
    with pytest.raises(ConfigError, match="above 0"):
        fit(frame, regularisation=0.0)


def test_intervals_hold_the_strengths_and_widen_with_groups() -> None:
    frame, _ = draw_battles(600, 0.0)
    columns = frame["model_a"], frame["model_b"], frame["label"]
    found = fit(frame)
    low, high = bootstrap_strengths(*columns, resamples=100, seed=4)
    assert (low < found.strength).mean() > 0.9
    assert (high > found.strength).mean() > 0.9
    again = bootstrap_strengths(*columns, resamples=100, seed=4)
    np.testing.assert_array_equal(again, (low, high))
    # Every battle four times over tells nothing new; groups know it, single battles do not.
    copied = pl.concat([frame] * 4)
    copies = copied["model_a"], copied["model_b"], copied["label"]
    naive = bootstrap_strengths(*copies, resamples=100, seed=4)
    grouped = bootstrap_strengths(*copies, np.tile(np.arange(600), 4), resamples=100, seed=4)
    assert np.mean(grouped[1] - grouped[0]) > 1.5 * np.mean(naive[1] - naive[0])


def test_families_are_told_from_names() -> None:
    told = {
        "gpt-3.5-turbo-0613": "gpt",
        "gpt4all-13b-snoozy": "gpt4all",
        "claude-instant-1": "claude",
        "codellama-34b-instruct": "llama",
        "llama2-70b-steerlm-chat": "llama",
        "gemini-pro": "google",
        "RWKV-4-Raven-14B": "rwkv",
        "": "other",
    }
    assert {name: family(name) for name in told} == told
