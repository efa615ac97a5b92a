from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES, swap_battles
from featlab.generated import (
    ChoiceModel,
    GeneratedBattles,
    expected_log_loss,
    generate_battles,
    truth_matrix,
)

STRENGTHS = {"strong": 1.5, "weak": -0.5}


def battle(response_a: str, response_b: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "model_a": ["strong"],
            "model_b": ["weak"],
            "response_a": [[response_a]],
            "response_b": [[response_b]],
        }
    )


def davidson(difference: float, tie: float) -> list[float]:
    weights = [math.exp(difference / 2), math.exp(-difference / 2), math.exp(tie)]
    return [weight / sum(weights) for weight in weights]


LONG = "word " * 40
MODEL = ChoiceModel()


@pytest.mark.parametrize(
    ("response_a", "response_b", "difference", "tie"),
    [
        pytest.param(LONG, LONG[:-1] + ".", 2.0, MODEL.tie, id="strength alone"),
        pytest.param(LONG, LONG, 0.0, MODEL.tie + MODEL.tie_same, id="the same text"),
        pytest.param(
            LONG,
            LONG * 2,
            2.0 + MODEL.length * math.log(201 / 401),
            MODEL.tie,
            id="twice as long",
        ),
        pytest.param(
            LONG * 20, LONG, 2.0 + MODEL.length * MODEL.length_limit, MODEL.tie, id="length limit"
        ),
        pytest.param(
            "", LONG, MODEL.blank + 0.5 - MODEL.length * MODEL.length_limit, MODEL.tie, id="blank"
        ),
        pytest.param("1. " + LONG, LONG + "abc", 2.0 + MODEL.listed, MODEL.tie, id="numbered list"),
        pytest.param(LONG + "xyz", "```" + LONG, 2.0 - MODEL.fenced, MODEL.tie, id="fence"),
        pytest.param(
            "Sorry, I cannot do that.",
            "Sorry, I cannot do this.",
            2.0,
            MODEL.tie + MODEL.tie_refused + MODEL.tie_short,
            id="both refuse",
        ),
        pytest.param(
            "I must decline." + LONG,
            "I have written." + LONG,
            2.0 + MODEL.refusal,
            MODEL.tie,
            id="one refuses",
        ),
    ],
)
def test_probabilities_follow_the_stated_model(
    response_a: str, response_b: str, difference: float, tie: float
) -> None:
    seen = MODEL.probabilities(battle(response_a, response_b), STRENGTHS)[0]
    np.testing.assert_allclose(seen, davidson(difference, tie), rtol=1e-12)


def test_truth_can_be_recomputed_from_the_file_and_the_strengths(
    generated: GeneratedBattles, battles: pl.DataFrame
) -> None:
    again = generated.choice.probabilities(battles, generated.strengths)
    np.testing.assert_allclose(again, truth_matrix(generated.truth), rtol=1e-13)


def test_swapped_battles_have_swapped_truth(
    generated: GeneratedBattles, battles: pl.DataFrame
) -> None:
    swapped = generated.choice.probabilities(swap_battles(battles), generated.strengths)
    np.testing.assert_allclose(swapped[:, [1, 0, 2]], truth_matrix(generated.truth), atol=1e-15)


def test_position_bias_favours_side_a_and_changes_no_text(generated: GeneratedBattles) -> None:
    biased = generate_battles(500, 11, choice=ChoiceModel(position_bias=0.4))
    texts = ["id", "prompt", "response_a", "response_b"]
    assert biased.train.select(texts).equals(generated.train.head(500).select(texts))
    fair = truth_matrix(generated.truth.head(500))
    shift = np.log(truth_matrix(biased.truth)) - np.log(fair)
    np.testing.assert_allclose(shift[:, 0] - shift[:, 1], 0.4, atol=1e-12)


def test_probabilities_sum_to_one_and_exclude_nothing(generated: GeneratedBattles) -> None:
    truth = truth_matrix(generated.truth)
    np.testing.assert_allclose(truth.sum(axis=1), 1.0, atol=1e-12)
    assert truth.min() > 0.0


def test_outcomes_occur_as_often_as_the_truth_says(generated: GeneratedBattles) -> None:
    truth = truth_matrix(generated.truth)
    outcomes = generated.train.select(generated.truth.columns[1:]).to_numpy()
    assert (outcomes.sum(axis=1) == 1).all()
    for position in range(3):
        order = np.argsort(truth[:, position])
        for part in np.array_split(order, 6):
            probability = truth[part, position]
            spread = math.sqrt((probability * (1 - probability)).sum())
            # 18 intervals of four standard deviations: together they miss once in 800 seeds.
            assert abs(outcomes[part, position].sum() - probability.sum()) < 4 * spread


def test_realised_loss_of_the_truth_is_near_its_entropy(generated: GeneratedBattles) -> None:
    truth = truth_matrix(generated.truth)
    surprise = -np.log(truth)
    variance = (truth * surprise**2).sum(axis=1) - (truth * surprise).sum(axis=1) ** 2
    spread = math.sqrt(variance.sum()) / len(truth)
    drawn = generated.train.select(PROBABILITIES).to_numpy() == 1
    assert abs(surprise[drawn].mean() - generated.optimum) < 4 * spread


def test_no_other_prediction_expects_less_than_the_optimum(generated: GeneratedBattles) -> None:
    truth = truth_matrix(generated.truth)
    for power in (0.5, 0.9, 1.1, 2.0):
        other = truth**power
        other /= other.sum(axis=1, keepdims=True)
        assert expected_log_loss(truth, other) > generated.optimum
    assert expected_log_loss(truth, truth) == generated.optimum


def test_shares_of_outcomes_are_the_competitions(generated: GeneratedBattles) -> None:
    a, b, tie = truth_matrix(generated.truth).mean(axis=0)
    assert abs(tie - 0.305) < 0.02
    assert abs(a - b) < 0.04
