"""One response against the other: by how much the winner differs, how often more wins."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.evaluation.intervals import Floats, binomial_z, with_shares
from models.probabilities import Labels

LENGTH = "characters"
"""The feature that says how long a text is."""

BINS = 41


def side_values(text: pl.DataFrame, feature: str) -> tuple[Floats, Floats]:
    """Return a feature of response a and of response b, float64 of shape (n,) each."""
    a, b = (text[f"response_{side}__{feature}"].cast(pl.Float64).to_numpy() for side in "ab")
    return a, b


def winner_less_loser(a: Floats, b: Floats, labels: Labels) -> Floats:
    """Return the amount of the preferred response less the other's, decisive battles only.

    Examples
    --------
    >>> winner_less_loser(np.array([3.0, 1]), np.array([1.0, 5]), np.array([0, 0])).tolist()
    [2.0, -4.0]
    """
    decisive = labels < 2
    return np.asarray(np.where(labels[decisive] == 0, 1.0, -1.0) * (a - b)[decisive])


def difference_histogram(differences: Floats) -> pl.DataFrame:
    """Count battles in bins around 0, the outermost open, beside the `median_interval`.

    The columns are ``from_value, to_value, battles, of, median, median_low,
    median_high``; the middle bin holds 0.
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
    """Return the median with a distribution-free 95 % interval from order statistics.

    Hahn and Meeker, "Statistical Intervals", 1991, section 5.2.
    """
    ordered = np.sort(values)
    count = len(ordered)
    if not count:
        return float("nan"), float("nan"), float("nan")
    reach = 1.96 * np.sqrt(count) / 2
    low = int(np.clip(np.floor((count - 1) / 2 - reach), 0, count - 1))
    high = int(np.clip(np.ceil((count - 1) / 2 + reach), 0, count - 1))
    return float(np.median(ordered)), float(ordered[low]), float(ordered[high])


def more_wins(
    a: Floats, b: Floats, labels: Labels, bins: NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """Count how often the response with more of something wins, among decisive battles.

    The columns are ``bin, wins, of, share, low, high, z``, a row each number in
    `bins`; battles with equal amounts are left out.
    """
    place = np.zeros(len(labels), np.int64) if bins is None else bins
    differing = (labels < 2) & (a != b)
    won = np.where(labels == 0, a > b, b > a)
    rows = [
        (int(number), int((inside & won).sum()), int(inside.sum()))
        for number in np.unique(place)
        for inside in [differing & (place == number)]
    ]
    frame = with_shares(pl.DataFrame(rows, ["bin", "wins", "of"], orient="row"), "wins")
    z = [binomial_z(wins, of) for wins, of in frame.select("wins", "of").iter_rows()]
    return frame.with_columns(pl.Series("z", z))
