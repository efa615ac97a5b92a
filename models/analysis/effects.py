"""How much each feature of a response moves the vote: alone, and at equal length.

Effects are odds ratios for one standard deviation of the difference between
the two responses, over decisive battles. "At equal length" adds the log ratio
of lengths to the regression, the style control of Chatbot Arena (Li,
Angelopoulos and Chiang, "Does style matter?", LMSYS, 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.features import FEATURES
from featlab.features.feature import Feature
from models.analysis.logistic import fit_logistic
from models.evaluation.intervals import Floats, binomial_z, wilson
from models.evaluation.metrics import Labels

LENGTH = "characters"

FEWEST = 20
"""Battles in which a feature must differ: intervals mean nothing below."""


def compared_features(columns: Sequence[str]) -> list[Feature]:
    """The features of a response that a frame holds for both sides.

    Examples
    --------
    >>> [f.name for f in compared_features(["response_a__words", "response_b__words"])]
    ['words']
    """
    present = set(columns)
    return [
        feature
        for feature in FEATURES
        if feature.pairings
        and {feature.column("response_a"), feature.column("response_b")} <= present
    ]


def side_values(text: pl.DataFrame, feature: str) -> tuple[Floats, Floats]:
    """A feature of response a and of response b, float64 of shape (n,) each."""
    a, b = (
        text[f"{side}__{feature}"].cast(pl.Float64).to_numpy()
        for side in ("response_a", "response_b")
    )
    return a, b


def difference(text: pl.DataFrame, feature: Feature) -> Floats:
    """Side a less side b: of logarithms for counts, as they are for shares and flags."""
    a, b = side_values(text, feature.name)
    if feature.dtype == pl.UInt32:
        a, b = np.log1p(a), np.log1p(b)
    return np.nan_to_num(a - b)


def feature_effects(text: pl.DataFrame, labels: Labels, groups: NDArray[Any]) -> pl.DataFrame:
    """Every feature's odds ratio of being preferred, alone and at equal length.

    Parameters
    ----------
    text : DataFrame
        The text signal, shape (n, ...).
    labels : array of int, shape (n,)
    groups : array, shape (n,)
        Equal for battles of one prompt.

    Returns
    -------
    DataFrame
        ``feature, family, meaning, standard_deviation, battles, alone,
        alone_low, alone_high, at_equal_length, at_equal_length_low,
        at_equal_length_high``; the length itself has no figure at equal
        length. Features that differ in fewer than `FEWEST` battles are left out.
    """
    decisive = labels < 2
    won = (labels[decisive] == 0).astype(float)
    group = groups[decisive]
    rows = text.filter(pl.Series(decisive))
    ones = np.ones(len(won))
    features = compared_features(text.columns)
    length = next((feature for feature in features if feature.name == LENGTH), None)
    longer = None if length is None else _standardised(difference(rows, length))[0]
    records: list[dict[str, Any]] = []
    for feature in features:
        values, scale = _standardised(difference(rows, feature))
        if np.count_nonzero(values) < FEWEST:
            continue
        alone = fit_logistic(np.column_stack([ones, values]), won, group).estimate(1)
        record = {
            "feature": feature.name,
            "family": feature.family,
            "meaning": feature.meaning,
            "standard_deviation": scale,
            "battles": len(won),
            "alone": np.exp(alone.value),
            "alone_low": np.exp(alone.low),
            "alone_high": np.exp(alone.high),
            "at_equal_length": None,
            "at_equal_length_low": None,
            "at_equal_length_high": None,
        }
        if longer is not None and feature.name != LENGTH:
            design = np.column_stack([ones, values, longer])
            adjusted = fit_logistic(design, won, group).estimate(1)
            record |= {
                "at_equal_length": np.exp(adjusted.value),
                "at_equal_length_low": np.exp(adjusted.low),
                "at_equal_length_high": np.exp(adjusted.high),
            }
        records.append(record)
    return pl.DataFrame(records, schema=_SCHEMA)


_SCHEMA = {
    "feature": pl.String,
    "family": pl.String,
    "meaning": pl.String,
    "standard_deviation": pl.Float64,
    "battles": pl.Int64,
    **{
        f"{kind}{bound}": pl.Float64
        for kind in ("alone", "at_equal_length")
        for bound in ("", "_low", "_high")
    },
}


def more_wins(
    a: Floats, b: Floats, labels: Labels, bins: NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """How often the response with more of something wins, among decisive battles.

    Parameters
    ----------
    a, b : float64 arrays, shape (n,)
        Amounts; battles with equal amounts are left out.
    labels : array of int, shape (n,)
    bins : array of int, shape (n,), optional
        A row of the result for each number in it.

    Returns
    -------
    DataFrame
        ``bin, wins, of, share, low, high, z``.

    Examples
    --------
    >>> more_wins(np.array([2.0, 1]), np.array([1.0, 3]), np.array([0, 1]))["share"].to_list()
    [1.0]
    """
    place = np.zeros(len(labels), np.int64) if bins is None else bins
    counted = (labels < 2) & (a != b)
    won = np.where(labels == 0, a > b, b > a)
    numbers = np.unique(place)
    of = np.array([int((counted & (place == number)).sum()) for number in numbers])
    wins = np.array([int((counted & (place == number) & won).sum()) for number in numbers])
    share, low, high = wilson(wins, of)
    return pl.DataFrame(
        {
            "bin": numbers,
            "wins": wins,
            "of": of,
            "share": share,
            "low": low,
            "high": high,
            "z": [binomial_z(win, count) for win, count in zip(wins, of, strict=True)],
        }
    )


def _standardised(values: Floats) -> tuple[Floats, float]:
    scale = float(values.std())
    return (values / scale if scale else values), scale
