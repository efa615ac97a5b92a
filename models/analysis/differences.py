"""One response against the other: how often the one with more of something wins."""

from __future__ import annotations

import polars as pl

from models.evaluation.intervals import Floats, wilson
from models.probabilities import Labels

LENGTH = "characters"
"""The feature that says how long a text is."""


def side_values(text: pl.DataFrame, feature: str) -> tuple[Floats, Floats]:
    """Return a feature of response a and of response b, float64 of shape (n,) each."""
    a, b = (text[f"response_{side}__{feature}"].cast(pl.Float64).to_numpy() for side in "ab")
    return a, b


def more_wins(a: Floats, b: Floats, labels: Labels) -> dict[str, float]:
    """Return how often the response with more of something wins.

    The keys are ``wins, of, share, low, high``; ``of`` counts decisive battles in
    which the amounts differ.
    """
    differing = (labels < 2) & (a != b)
    wins, of = int((differing & ((labels == 0) == (a > b))).sum()), int(differing.sum())
    share, low, high = (float(bound) for bound in wilson(wins, of))
    return {"wins": wins, "of": of, "share": share, "low": low, "high": high}
