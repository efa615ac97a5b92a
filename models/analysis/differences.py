"""One response against the other: how often the one with more of something wins."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.evaluation.intervals import Floats, binomial_z, with_shares
from models.probabilities import Labels

LENGTH = "characters"
"""The feature that says how long a text is."""


def side_values(text: pl.DataFrame, feature: str) -> tuple[Floats, Floats]:
    """Return a feature of response a and of response b, float64 of shape (n,) each."""
    a, b = (text[f"response_{side}__{feature}"].cast(pl.Float64).to_numpy() for side in "ab")
    return a, b


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
