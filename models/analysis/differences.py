"""Winner less loser: the distribution of a difference, and what it comes to in the middle."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.evaluation.intervals import Floats
from models.evaluation.metrics import Labels

BINS = 41


def winner_less_loser(a: Floats, b: Floats, labels: Labels) -> Floats:
    """The amount of the preferred response less the other's, decisive battles only.

    Examples
    --------
    >>> winner_less_loser(np.array([3.0, 1]), np.array([1.0, 5]), np.array([0, 0])).tolist()
    [2.0, -4.0]
    """
    decisive = labels < 2
    sign = np.where(labels[decisive] == 0, 1.0, -1.0)
    difference: Floats = sign * (a - b)[decisive]
    return difference


def difference_histogram(differences: Floats) -> pl.DataFrame:
    """Battles in bins around 0, the outermost open.

    The median has a distribution-free 95 % interval from order statistics.

    Returns
    -------
    DataFrame
        ``from_value, to_value, battles, of, median, median_low, median_high``;
        the middle bin holds 0.
    """
    reach = float(np.quantile(np.abs(differences), 0.97)) if len(differences) else 0.0
    reach = max(reach, 1.0)
    edges = np.linspace(-reach, reach, BINS + 1)
    counts, _ = np.histogram(np.clip(differences, -reach, reach), edges)
    median, low, high = median_interval(differences)
    return pl.DataFrame(
        {
            "from_value": edges[:-1],
            "to_value": edges[1:],
            "battles": counts,
            "of": len(differences),
            "median": median,
            "median_low": low,
            "median_high": high,
        }
    )


def median_interval(values: Floats) -> tuple[float, float, float]:
    """The median with a 95 % interval from order statistics.

    Hahn and Meeker, "Statistical Intervals", 1991, section 5.2.

    Examples
    --------
    >>> median_interval(np.arange(101.0))
    (50.0, 40.0, 60.0)
    """
    ordered = np.sort(values)
    count = len(ordered)
    if not count:
        return float("nan"), float("nan"), float("nan")
    reach = 1.96 * np.sqrt(count) / 2
    low = int(np.clip(np.floor((count - 1) / 2 - reach), 0, count - 1))
    high = int(np.clip(np.ceil((count - 1) / 2 + reach), 0, count - 1))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])
