"""The identity signal: learns from names, reads none, and beats the prior out of fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from scipy import sparse
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from featlab.battles import read_battles, swap_battles
from featlab.battles.folds import make_folds
from featlab.columns import Kind, parities
from featlab.errors import BattleError, ConfigError
from featlab.generated import generate_battles
from featlab.parity import Parity, swap
from featlab.signals import Context, Need, Outcomes, Rows, load_signal, save_signal
from featlab.signals.identity import IdentitySignal
from featlab.signals.identity.authorship import fit_authorship, shapes, views_of_texts
from featlab.signals.identity.signal import COLUMNS, PreparedTexts
from featlab.signals.identity.sparse_softmax import ridge_softmax
from tests.strategies import battle_frames

NAMES = ("model_a", "model_b")
TEXTS = ("response_a", "response_b")
PARITY = parities(COLUMNS)
TRAINING, HELD_OUT = np.arange(300), np.arange(300, 400)


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(400, seed=4).train).collect()


@pytest.fixture(scope="module")
def prepared(battles: pl.DataFrame) -> PreparedTexts:
    return IdentitySignal().prepare(battles.lazy().select(TEXTS))


@pytest.fixture(scope="module")
def signal(battles: pl.DataFrame, prepared: PreparedTexts) -> IdentitySignal:
    return IdentitySignal(seed=1).fit(prepared, Outcomes.of(battles), TRAINING)


def fit(battles: pl.DataFrame, rows: Rows | None = None) -> IdentitySignal:
    rows = np.arange(len(battles)) if rows is None else rows
    found = IdentitySignal(seed=1)
    return found.fit(found.prepare(battles.lazy()), Outcomes.of(battles), rows)


def test_exchanging_the_sides_exchanges_the_columns_exactly(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    columns = signal.transform(prepared, HELD_OUT)
    assert columns.schema == {column.name: pl.Float32 for column in signal.columns()}
    assert set(PARITY.values()) == {Parity.ODD, Parity.EVEN}
    margins = [column.name for column in COLUMNS if column.kind is Kind.MARGIN]
    assert margins == ["identity__win_margin"]
    exchanged = signal.prepare(swap_battles(battles[HELD_OUT]).lazy())
    assert signal.transform(exchanged).equals(swap(columns, PARITY))
    assert columns.select(pl.all().std()).min_horizontal().item() > 0


def test_no_name_and_no_outcome_of_a_held_out_battle_is_read(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    outcomes = Outcomes.of(battles)
    labels, weight = outcomes.labels.copy(), outcomes.weight.copy()
    labels[HELD_OUT], weight[HELD_OUT] = (labels[HELD_OUT] + 1) % 3, 1e6
    ghost = pl.Series(["ghost"] * len(HELD_OUT))
    poisoned = replace(
        outcomes,
        labels=labels,
        weight=weight,
        model_a=outcomes.model_a.clone().scatter(HELD_OUT, ghost),
        model_b=outcomes.model_b.clone().scatter(HELD_OUT, battles["model_a"][HELD_OUT]),
    )
    again = IdentitySignal(seed=1).fit(prepared, poisoned, TRAINING)
    assert again.transform(prepared).equals(signal.transform(prepared))
    # Another fold trains on those rows, so its columns do change.
    other = [
        IdentitySignal(seed=1).fit(prepared, told, np.arange(100, 400)).transform(prepared)
        for told in (outcomes, poisoned)
    ]
    assert not other[0].equals(other[1])


def test_a_battle_is_told_alike_in_any_company(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    order = np.random.default_rng(0).permutation(400)[:137]
    columns = signal.transform(prepared)
    assert signal.transform(prepared, order).equals(columns[order])
    assert signal.transform(signal.prepare(battles[order].lazy())).equals(columns[order])


def test_chunks_leave_no_trace(
    signal: IdentitySignal,
    battles: pl.DataFrame,
    prepared: PreparedTexts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = signal.transform(prepared)
    monkeypatch.setattr("featlab.signals.identity.signal._CHUNK", 37)
    monkeypatch.setattr("featlab.signals.identity.authorship._BLOCK", 53)
    assert signal.transform(signal.prepare(battles.lazy())).equals(columns)


def test_fitting_again_gives_the_same(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    again = fit(battles, TRAINING)
    assert again.transform(prepared).equals(signal.transform(prepared))


def test_it_loads_as_it_was_saved(
    signal: IdentitySignal, prepared: PreparedTexts, tmp_path: Path
) -> None:
    save_signal(signal, tmp_path)
    loaded = load_signal(IdentitySignal, tmp_path)
    assert loaded.recipe() == signal.recipe()
    assert loaded.transform(prepared).equals(signal.transform(prepared))


def test_settings_choose_the_seed_of_a_fold() -> None:
    context = Context(seed=5)
    seeds = [IdentitySignal.from_settings(context, fold).seed for fold in (0, 1, 1)]
    assert seeds[0] != seeds[1] == seeds[2]
    assert IdentitySignal.needs == {Need.MODEL_NAMES}


def test_out_of_fold_it_beats_the_prior_by_more_than_its_error() -> None:
    battles = read_battles(generate_battles(900, seed=4).train).collect()
    folds = make_folds(battles, 3, seed=0)["fold"].to_numpy()
    outcomes, labels = Outcomes.of(battles), battles["label"].to_numpy()
    prepared = IdentitySignal().prepare(battles.lazy())
    values = np.empty((900, len(COLUMNS)))
    for fold in range(3):
        found = IdentitySignal(seed=fold).fit(prepared, outcomes, np.flatnonzero(folds != fold))
        held_out = np.flatnonzero(folds == fold)
        values[held_out] = found.transform(prepared, held_out).to_numpy()
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    parts = []
    for fold in range(3):
        train, test = folds != fold, folds == fold
        fitted = LogisticRegression(C=0.1).fit(values[train], labels[train])
        chances = fitted.predict_proba(values[test])[np.arange(test.sum()), labels[test]]
        prior = np.bincount(labels[train], minlength=3) / train.sum()
        parts.append(np.log(chances) - np.log(prior[labels[test]]))
    gains = np.concatenate(parts)
    assert gains.mean() > 3 * gains.std() / np.sqrt(len(gains))


def test_the_posterior_finds_the_writer(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    held_out = battles.tail(100)
    texts = held_out["response_a"].list.join("\n\n")
    posterior = signal.posterior(texts)
    assert np.allclose(posterior.sum_horizontal(), 1.0, atol=1e-5)
    guesses = np.array(posterior.columns)[posterior.to_numpy().argmax(axis=1)]
    chance = 1.0 / len(posterior.columns)
    assert (guesses == held_out["model_a"].to_numpy()).mean() > 5 * chance


def test_models_unseen_in_training_are_no_trouble(
    battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    rare = battles["model_a"][0]
    seen = (battles["model_a"] != rare) & (battles["model_b"] != rare)
    fitted = fit(battles, np.flatnonzero(seen.to_numpy()))
    assert rare not in fitted.authorship.models
    assert np.isfinite(fitted.transform(prepared).to_numpy()).all()


def test_responses_without_a_name_are_left_out(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    nameless = battles[HELD_OUT].with_columns(pl.lit(None, pl.String).alias(name) for name in NAMES)
    fitted = fit(pl.concat([battles[TRAINING], nameless]))
    assert fitted.transform(prepared).equals(signal.transform(prepared))


def test_a_weight_of_zero_counts_for_nothing(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    weighted = battles.with_columns(weight=pl.Series(np.arange(400) < 300).cast(pl.Float64))
    fitted = fit(weighted)
    np.testing.assert_allclose(fitted.strengths.strength, signal.strengths.strength, atol=1e-7)


@pytest.mark.parametrize("how", ["dropped", "null"])
def test_battles_without_any_names_are_refused(battles: pl.DataFrame, how: str) -> None:
    nameless = (
        battles.drop(*NAMES)
        if how == "dropped"
        else battles.with_columns(pl.lit(None, pl.String).alias(name) for name in NAMES)
    )
    with pytest.raises(BattleError, match="identity signal needs model_a and model_b"):
        fit(nameless)


@given(frame=battle_frames(max_size=5))
def test_any_text_is_transformed_to_finite_numbers(
    frame: pl.DataFrame, signal: IdentitySignal
) -> None:
    battles = read_battles(frame)
    columns = signal.transform(signal.prepare(battles))
    assert np.isfinite(columns.to_numpy()).all()
    exchanged = signal.prepare(swap_battles(battles.collect()).lazy())
    assert signal.transform(exchanged).equals(swap(columns, PARITY))


def test_no_battles_give_no_rows(
    signal: IdentitySignal, battles: pl.DataFrame, prepared: PreparedTexts
) -> None:
    columns = signal.transform(signal.prepare(battles.clear().lazy()))
    assert columns.equals(signal.transform(prepared).clear())


def test_identical_responses_are_a_tie_of_equals(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    same = battles.tail(10).with_columns(response_b="response_a")
    columns = signal.transform(signal.prepare(same.lazy()))
    odd = [name for name, kind in PARITY.items() if kind is Parity.ODD]
    assert not columns.select(odd).to_numpy().any()


def test_shapes_keep_layout_and_lose_words() -> None:
    one, other = shapes(pl.Series(["- Cats eat 3 mice.\n", "- Dogs see 77 birds.\n"]))
    assert one == other == "- 8w w 0 w.\n"


def test_authorship_chooses_what_it_reads_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Certainly! {index}" if index % 2 else f"nah {index}" for index in range(90)]
    views, models = views_of_texts(pl.Series(texts)), pl.Series(["curt", "polite"] * 45)
    whole = fit_authorship(views, np.arange(90), models, np.ones(90))
    monkeypatch.setattr("featlab.signals.identity.authorship._SAMPLE", 20)
    sampled = fit_authorship(views, np.arange(90), models, np.ones(90))
    assert sampled.models == ("curt", "polite")
    assert len(sampled.buckets) < len(whole.buckets)
    guesses = [found.posterior(views).argmax(axis=1) for found in (whole, sampled)]
    np.testing.assert_array_equal(*guesses)


def test_the_softmax_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(200, 5)).astype(np.float32)
    classes = (dense[:, :3] + generator.normal(size=(200, 3))).argmax(axis=1)
    weight = generator.uniform(0.5, 2.0, 200)
    blocks = [sparse.csr_matrix(dense[:150]), sparse.csr_matrix(dense[150:])]
    found, intercept = ridge_softmax(blocks, classes, 3, weight, 2.0, steps=200)
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(dense, classes, weight)
    ours = softmax(dense @ found + intercept, axis=1)
    np.testing.assert_allclose(ours, theirs.predict_proba(dense), atol=0.01)
    with pytest.raises(ConfigError, match="above 0"):
        ridge_softmax(blocks, classes, 3, weight, 0.0, steps=1)
