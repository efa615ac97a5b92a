"""Logistic regression with standard errors that respect groups of rows.

Small and dense: a handful of columns, fitted by Newton's method. A very wide
normal prior keeps coefficients finite where a column separates the outcomes.
"""

from __future__ import annotations

import numpy as np

from models.evaluation.intervals import Floats, Groups, Z
from models.evaluation.metrics import Estimate

PRIOR_PRECISION = 1e-2
"""Of each coefficient: a standard deviation of 10 on the log-odds scale."""

_STEPS = 60
_CLOSE = 1e-9


def fit_logistic(design: Floats, target: Floats, groups: Groups) -> list[Estimate]:
    """Return the log-odds of `target` for a unit of each column of `design`, of shape (n, k).

    Intervals are from the sandwich covariance over groups: Liang and Zeger,
    "Longitudinal data analysis using generalized linear models", Biometrika 73,
    1986. A column of ones is the intercept; the target is 0 or 1.

    Examples
    --------
    >>> won = np.array([1.0] * 75 + [0.0] * 25)
    >>> (found,) = fit_logistic(np.ones((100, 1)), won, np.arange(100))
    >>> round(found.value, 2) == round(float(np.log(3)), 2)
    True
    """
    prior = PRIOR_PRECISION * np.eye(design.shape[1])
    coefficients = np.zeros(design.shape[1])

    def residuals_and_information() -> tuple[Floats, Floats]:
        stated = 1.0 / (1.0 + np.exp(-np.clip(design @ coefficients, -35.0, 35.0)))
        spread = (design * (stated * (1 - stated))[:, None]).T @ design
        return target - stated, spread + prior

    for _ in range(_STEPS):
        residuals, information = residuals_and_information()
        step = np.linalg.solve(information, design.T @ residuals - prior @ coefficients)
        # A full step overshoots where the likelihood is flat; 2 log-odds is a long way.
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), _CLOSE))
        coefficients = coefficients + step
        if np.abs(step).max() < _CLOSE:
            break
    residuals, information = residuals_and_information()
    scores = design * residuals[:, None]
    _, group = np.unique(groups, return_inverse=True)
    summed = np.column_stack([np.bincount(group, weights=column) for column in scores.T])
    inverse = np.linalg.inv(information)
    covariance = inverse @ (summed.T @ summed) @ inverse
    margins = Z * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return [
        Estimate(float(value), float(value - margin), float(value + margin))
        for value, margin in zip(coefficients, margins, strict=True)
    ]
