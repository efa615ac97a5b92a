import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.metrics import (
    area_under_curve,
    bootstrap_mean,
    evaluate,
    expected_calibration_error,
    paired_difference,
    swap_asymmetry,
)
from models.probabilities import exchanged, log_loss, prior, row_log_loss


def probabilities(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([2, 2, 2], size=count)


def test_log_loss_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import log_loss as reference

    stated, labels = probabilities(500), np.random.default_rng(1).integers(0, 3, 500)
    assert log_loss(stated, labels) == pytest.approx(reference(labels, stated), abs=1e-12)


def test_certain_and_wrong_is_finite() -> None:
    assert np.isfinite(row_log_loss(np.array([[1.0, 0.0, 0.0]]), np.array([2])))[0]


@given(st.integers(0, 1000))
def test_paired_difference_changes_sign_with_its_arguments(seed: int) -> None:
    first, second = probabilities(60, seed), probabilities(60, seed + 1)
    labels, groups = np.arange(60) % 3, np.arange(60) // 2
    forth = paired_difference(first, second, labels, groups, 0)
    back = paired_difference(second, first, labels, groups, 0)
    assert (forth.value, forth.low, forth.high) == pytest.approx(
        (-back.value, -back.high, -back.low)
    )


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = generator.normal(1.0, 2.0, 80)
        estimate = bootstrap_mean(values, np.arange(80), trial, resamples=300)
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_widens_when_rows_of_a_group_agree() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 10)
    apart = bootstrap_mean(values, np.arange(500), 0)
    together = bootstrap_mean(values, np.repeat(np.arange(50), 10), 0)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_calibration_error_is_small_for_true_probabilities_and_large_for_confident_ones() -> None:
    stated = probabilities(20_000)
    generator = np.random.default_rng(3)
    drawn = (generator.random(20_000)[:, None] > stated.cumsum(axis=1)).sum(axis=1)
    sharpened = stated**3 / (stated**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(stated, drawn) < 0.012
    assert expected_calibration_error(sharpened, drawn) > 0.05


def test_prior_treats_the_sides_alike() -> None:
    shares = prior(np.array([0, 0, 0, 1, 2]))
    assert shares[0] == shares[1] == pytest.approx(0.4)
    assert shares.sum() == pytest.approx(1)


def test_swap_asymmetry_is_zero_exactly_for_mirrored_predictions() -> None:
    stated = probabilities(50)
    assert swap_asymmetry(stated, exchanged(stated)) == 0
    assert swap_asymmetry(stated, stated) > 0.05


def test_evaluation_names_a_class_that_never_happened() -> None:
    figures = evaluate(probabilities(30), np.arange(30) % 2, np.arange(30), 0)
    assert figures["per_class_log_loss"]["tie"] is None
    assert figures["battles"] == 30


def test_ties_have_no_part_in_the_area_under_the_curve() -> None:
    stated = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.5, 0.5, 0], [0.1, 0.9, 0]])
    assert area_under_curve(stated, np.array([0, 1, 2, 2])) == 1.0
    assert area_under_curve(stated, np.array([1, 0, 2, 2])) == 0.0
