"""Who wins: counts of outcomes, each model's record, and outcomes by relative length."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from featlab.battles import OUTCOMES
from models.evaluation.intervals import Floats, wilson
from models.evaluation.metrics import Labels

LENGTH_RATIO_EDGES = (-1.0, -0.3, 0.3, 1.0)
"""Bounds of the bins of log(characters of a / characters of b)."""

LENGTH_RATIO_BINS = (
    "a much shorter",
    "a shorter",
    "alike",
    "a longer",
    "a much longer",
)


def outcome_counts(labels: Labels) -> pl.DataFrame:
    """``outcome, battles, share, low, high``: one row an outcome.

    Examples
    --------
    >>> outcome_counts(np.array([0, 0, 1, 2]))["battles"].to_list()
    [2, 1, 1]
    """
    counts = np.bincount(labels, minlength=3)
    return _with_share(
        pl.DataFrame({"outcome": OUTCOMES, "battles": counts, "of": int(counts.sum())}),
    )


def model_records(battles: pl.DataFrame) -> pl.DataFrame:
    """Each model's battles, wins, ties and losses, and its share of decisive battles won.

    Parameters
    ----------
    battles : DataFrame
        ``model_a``, ``model_b`` and ``label``; rows without names are left out.

    Returns
    -------
    DataFrame
        ``model, battles, wins, ties, losses, of, share, low, high``: most
        battles first; ``of`` counts the decisive ones, whose won share has
        Wilson's interval.

    Examples
    --------
    >>> battles = pl.DataFrame({"model_a": ["x", "x"], "model_b": ["y", "y"], "label": [0, 2]})
    >>> model_records(battles).select("model", "battles", "wins", "ties").rows()
    [('x', 2, 1, 1), ('y', 2, 0, 1)]
    """
    label = pl.col("label")
    sides = [
        battles.select(
            pl.col(column).alias("model"),
            (label == win).alias("win"),
            (label == 2).alias("tie"),
            (label == 1 - win).alias("loss"),
        )
        for column, win in (("model_a", 0), ("model_b", 1))
    ]
    records = (
        pl.concat(sides)
        .drop_nulls("model")
        .group_by("model")
        .agg(
            pl.len().alias("battles"),
            pl.col("win").sum().alias("wins"),
            pl.col("tie").sum().alias("ties"),
            pl.col("loss").sum().alias("losses"),
        )
        .sort(["battles", "model"], descending=[True, False])
        .with_columns((pl.col("wins") + pl.col("losses")).alias("of"))
    )
    return _with_share(records, "wins")


def outcomes_by_length_ratio(lengths_a: Floats, lengths_b: Floats, labels: Labels) -> pl.DataFrame:
    """Outcome shares in bins of the log ratio of lengths, with Wilson's intervals.

    Parameters
    ----------
    lengths_a, lengths_b : float64 arrays, shape (n,)
        Characters; an empty response counts as one.
    labels : array of int, shape (n,)

    Returns
    -------
    DataFrame
        ``bin, range, outcome, battles, of, share, low, high``.
    """
    log_ratio = np.log(np.maximum(lengths_a, 1.0)) - np.log(np.maximum(lengths_b, 1.0))
    place = np.digitize(log_ratio, LENGTH_RATIO_EDGES)
    counts = np.zeros((len(LENGTH_RATIO_BINS), 3), int)
    np.add.at(counts, (place, labels), 1)
    edges = ("", *(f"{edge:g}" for edge in LENGTH_RATIO_EDGES), "")
    ranges = [f"{low} to {high}".strip() for low, high in pairwise(edges)]
    rows = [
        (name, interval, outcome, int(counts[index, label]), int(counts[index].sum()))
        for index, (name, interval) in enumerate(zip(LENGTH_RATIO_BINS, ranges, strict=True))
        for label, outcome in enumerate(OUTCOMES)
    ]
    frame = pl.DataFrame(rows, ["bin", "range", "outcome", "battles", "of"], orient="row")
    return _with_share(frame)


def _with_share(frame: pl.DataFrame, count: str = "battles") -> pl.DataFrame:
    """Columns ``share, low, high`` of a count among ``of``."""
    share, low, high = wilson(frame[count].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series("share", share), pl.Series("low", low), pl.Series("high", high)
    )
