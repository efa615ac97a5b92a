"""Intervals of shares and of ratios: Wilson's for counts, linearised for grouped rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from models.evaluation.metrics import Interval

Floats = NDArray[np.float64]

Groups = NDArray[Any]
"""Equal for rows that are not independent, such as battles of one prompt: shape (n,)."""

Z = 1.959963984540054
"""Standard errors on each side of a 95 % interval."""


def wilson(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return shares with the bounds of Wilson's 95 % score interval, NaN where there is no trial.

    Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927: never outside [0, 1], and sound for few trials.

    Examples
    --------
    >>> [float(bound.round(3)) for bound in wilson(8, 10)]
    [0.8, 0.49, 0.943]
    """
    hits, count = np.asarray(successes, float), np.asarray(trials, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / count
        centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
        margin = np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
        margin = margin * Z / (1 + Z**2 / count)
        low = np.where(hits == 0, share, np.maximum(centre - margin, 0.0))
        high = np.where(hits == count, share, np.minimum(centre + margin, 1.0))
    return share, low, high


def with_shares(frame: pl.DataFrame, count: str = "battles") -> pl.DataFrame:
    """Add ``share, low, high``: a column's counts among those of ``of``, with Wilson's interval."""
    bounds = wilson(frame[count].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series(name, values)
        for name, values in zip(("share", "low", "high"), bounds, strict=True)
    )


def binomial_z(successes: float, trials: float) -> float:
    """Return how many standard errors a share lies above one half.

    Examples
    --------
    >>> binomial_z(60, 100)
    2.0
    """
    return float((successes - trials / 2) / np.sqrt(trials / 4)) if trials else float("nan")


def ratio(numerator: Floats, denominator: Floats, groups: Groups) -> Interval:
    """Return a ratio of sums over rows, with a 95 % interval that respects groups of rows.

    The variance is the ratio's linearisation, summed inside groups: Cochran,
    "Sampling Techniques", 1977, section 6.3. The mean of a column is its ratio
    to a column of ones. All is NaN where the denominators sum to 0.

    Examples
    --------
    >>> estimate = ratio(np.array([1.0, 0, 1, 1]), np.ones(4), np.arange(4))
    >>> round(estimate.value, 2), round(estimate.low, 2), round(estimate.high, 2)
    (0.75, 0.26, 1.24)
    """
    total = float(denominator.sum())
    if not len(denominator) or total == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    value = float(numerator.sum()) / total
    _, group = np.unique(groups, return_inverse=True)
    residuals = np.bincount(group, weights=numerator - value * denominator)
    count = len(residuals)
    correction = count / (count - 1) if count > 1 else float("nan")
    margin = Z * float(np.sqrt(correction * (residuals**2).sum())) / total
    return Interval(value, value - margin, value + margin)


def mean(values: Floats, groups: Groups) -> Interval:
    """Return a mean, with the interval of `ratio`."""
    return ratio(values, np.ones(len(values)), groups)
