"""Logistic regression with standard errors that respect groups of rows.

Small and dense: a handful of columns, fitted by Newton's method. A very wide
normal prior keeps coefficients finite where a column separates the outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.intervals import Floats, Z
from models.evaluation.metrics import Interval

PRIOR_PRECISION = 1e-2
"""Of each coefficient: a standard deviation of 10 on the log-odds scale."""

_STEPS = 60
_CLOSE = 1e-9


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients and their covariance.

    Parameters
    ----------
    coefficients : float64 array, shape (k,)
        In log-odds for each unit of a column.
    covariance : float64 array, shape (k, k)
    """

    coefficients: Floats
    covariance: Floats

    def estimate(self, column: int) -> Interval:
        """A coefficient with its 95 % interval."""
        value = float(self.coefficients[column])
        margin = Z * float(np.sqrt(max(self.covariance[column, column], 0.0)))
        return Interval(value, value - margin, value + margin)


def fit_logistic(
    design: Floats, target: Floats, groups: NDArray[Any], weights: Floats | None = None
) -> LogisticFit:
    """Fit log-odds linear in the columns of `design`.

    Parameters
    ----------
    design : float64 array, shape (n, k)
        A column of ones is the intercept.
    target : float64 array, shape (n,)
        In [0, 1]: outcomes, or probabilities that a model states.
    groups : array, shape (n,)
        Equal for rows that are not independent.
    weights : float64 array, shape (n,), optional

    Returns
    -------
    LogisticFit
        With the sandwich covariance over groups: Liang and Zeger,
        "Longitudinal data analysis using generalized linear models",
        Biometrika 73, 1986.

    Examples
    --------
    >>> won = np.array([1.0] * 75 + [0.0] * 25)
    >>> fit = fit_logistic(np.ones((100, 1)), won, np.arange(100))
    >>> round(float(fit.coefficients[0]), 2) == round(float(np.log(3)), 2)
    True
    """
    weight = np.ones(len(target)) if weights is None else weights
    prior = PRIOR_PRECISION * np.eye(design.shape[1])
    coefficients = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        stated = _logistic(design @ coefficients)
        slope = design.T @ (weight * (target - stated)) - prior @ coefficients
        information = (design * (weight * stated * (1 - stated))[:, None]).T @ design + prior
        step = np.linalg.solve(information, slope)
        # A full step overshoots where the likelihood is flat; 2 log-odds is a long way.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), _CLOSE))
        coefficients = coefficients + step
        if np.abs(step).max() < _CLOSE:
            break
    stated = _logistic(design @ coefficients)
    information = (design * (weight * stated * (1 - stated))[:, None]).T @ design + prior
    _, group = np.unique(groups, return_inverse=True)
    scores = design * (weight * (target - stated))[:, None]
    summed = np.column_stack([np.bincount(group, weights=column) for column in scores.T])
    inverse = np.linalg.inv(information)
    return LogisticFit(coefficients, inverse @ (summed.T @ summed) @ inverse)


def _logistic(log_odds: Floats) -> Floats:
    value: Floats = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -35.0, 35.0)))
    return value
