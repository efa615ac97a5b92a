"""One temperature that makes probabilities as confident as they deserve to be.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
One parameter cannot overfit and keeps the symmetry of the sides; isotonic
regression risks both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featlab.battles.schema import TIE
from models.probabilities import Labels, Probabilities, log_loss

_SMALLEST = 1e-15
_LOG_BOUNDS = (np.log(0.2), np.log(10.0))


def apply_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return probabilities to the power 1 / temperature, normalised again.

    Where nothing can be a tie, nothing becomes one.

    Examples
    --------
    >>> apply_temperature(np.array([[0.8, 0.1, 0.1]]), 2.0).round(3)
    array([[0.586, 0.207, 0.207]])
    """
    logits = np.log(np.clip(probabilities, _SMALLEST, 1.0)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    if not probabilities[:, TIE].any():
        powers[:, TIE] = 0.0
    # Summed by name: a reduction may add the sides in another order after a swap.
    total = (powers[:, 0] + powers[:, 1]) + powers[:, 2]
    scaled: Probabilities = powers / total[:, None]
    return scaled


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """Return the temperature in [0.2, 10] with the least log loss.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> labels = generator.integers(0, 3, 500)
    >>> overconfident = np.full((500, 3), 0.05)
    >>> overconfident[np.arange(500), generator.integers(0, 3, 500)] = 0.9
    >>> fit_temperature(overconfident, labels) > 5
    True
    """
    # Imported where something is fitted: predictions do not wait for it.
    from scipy.optimize import minimize_scalar

    result = minimize_scalar(
        lambda log_t: log_loss(apply_temperature(probabilities, float(np.exp(log_t))), labels),
        bounds=_LOG_BOUNDS,
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(result.x))


def cross_fitted_temperature(
    probabilities: Probabilities, labels: Labels, folds: NDArray[np.int64]
) -> Probabilities:
    """Each fold's probabilities at the temperature fitted on the other folds.

    This is what may be reported: no row helped to choose its own temperature.
    """
    result = probabilities.copy()
    for fold in np.unique(folds):
        held_out = folds == fold
        temperature = fit_temperature(probabilities[~held_out], labels[~held_out])
        result[held_out] = apply_temperature(probabilities[held_out], temperature)
    return result
