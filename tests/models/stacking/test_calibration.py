import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.probabilities import log_loss
from models.stacking.calibration import apply_temperature, cross_fitted_temperature, fit_temperature


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    stated = generator.dirichlet([2, 2, 2], size=count)
    labels = (generator.random(count)[:, None] > stated.cumsum(axis=1)).sum(axis=1)
    return stated, labels


@given(st.floats(0.25, 8), st.integers(0, 100))
def test_temperature_is_exactly_symmetric_in_the_sides(temperature: float, seed: int) -> None:
    stated, _ = drawn(40, seed)
    scaled = apply_temperature(stated, temperature)
    mirrored = apply_temperature(stated[:, [1, 0, 2]], temperature)
    assert np.array_equal(scaled[:, [1, 0, 2]], mirrored)
    assert np.allclose(scaled.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature: float) -> None:
    stated, labels = drawn(40_000, 1)
    distorted = apply_temperature(stated, 1 / temperature)
    assert fit_temperature(distorted, labels) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_never_raises_the_loss_it_was_fitted_on() -> None:
    stated, labels = drawn(300, 2)
    sharp = apply_temperature(stated, 0.4)
    scaled = apply_temperature(sharp, fit_temperature(sharp, labels))
    assert log_loss(scaled, labels) < log_loss(sharp, labels)


def test_a_fold_does_not_choose_its_own_temperature() -> None:
    stated, labels = drawn(400, 3)
    folds = np.arange(400) % 4
    scaled = cross_fitted_temperature(stated, labels, folds)
    changed = labels.copy()
    changed[folds == 0] = (changed[folds == 0] + 1) % 3
    again = cross_fitted_temperature(stated, changed, folds)
    assert np.array_equal(scaled[folds == 0], again[folds == 0])
    assert not np.array_equal(scaled[folds == 1], again[folds == 1])
