"""Strengths beside win rates, and how each family of models does against its strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.signals.identity.model_families import family
from featlab.signals.identity.strengths import bootstrap_strengths, fit_strengths
from models.analysis.outcomes import model_records
from models.evaluation.intervals import Floats, ratio
from models.evaluation.metrics import Labels, Probabilities


def strength_table(
    battles: pl.DataFrame, groups: NDArray[Any], resamples: int, seed: int
) -> pl.DataFrame:
    """Every model's record with its Bradley-Terry strength, ties included, strongest first.

    Parameters
    ----------
    battles : DataFrame
        ``model_a``, ``model_b`` and ``label``.
    groups : array, shape (n,)
        Equal for battles of one prompt, which are resampled together.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        The columns of `models.analysis.outcomes.model_records`, and
        ``strength, strength_low, strength_high`` in log-odds, mean 0.
    """
    games = battles["model_a"], battles["model_b"], battles["label"]
    fitted = fit_strengths(*games)
    low, high = bootstrap_strengths(*games, groups, resamples=resamples, seed=seed)
    strengths = pl.DataFrame(
        {
            "model": fitted.names,
            "strength": fitted.strength,
            "strength_low": low,
            "strength_high": high,
        }
    )
    return (
        model_records(battles)
        .join(strengths, on="model", how="inner")
        .sort("strength", descending=True)
    )


def expected_outcomes(battles: pl.DataFrame, folds: NDArray[np.int64]) -> Probabilities:
    """Outcome probabilities from strengths that are fitted on the other folds: shape (n, 3).

    Parameters
    ----------
    battles : DataFrame
        ``model_a``, ``model_b`` and ``label``; every battle names both models.
    folds : array of int, shape (n,)
    """
    result = np.empty((len(battles), 3))
    for fold in np.unique(folds):
        training = battles.filter(pl.Series(folds != fold))
        fitted = fit_strengths(training["model_a"], training["model_b"], training["label"])
        held_out = battles.filter(pl.Series(folds == fold))
        sides = (fitted.of(held_out[column].to_list()) for column in ("model_a", "model_b"))
        result[folds == fold] = fitted.probabilities(*sides)
    return result


def family_scores(
    battles: pl.DataFrame,
    labels: Labels,
    expectations: dict[str, Probabilities],
    groups: NDArray[Any],
    fewest: int = 50,
) -> pl.DataFrame:
    """What each family scores, and what it scores by strengths or predictions.

    A win scores 1 and a tie one half. Battles inside a family always score one
    half, so they are left out.

    Parameters
    ----------
    battles : DataFrame
        ``model_a`` and ``model_b``.
    labels : array of int, shape (n,)
    expectations : mapping of str to float64 array of shape (n, 3)
        Who expects -> the probabilities it gives.
    groups : array, shape (n,)
    fewest : int
        Battles a family must have to be shown.

    Returns
    -------
    DataFrame
        ``family, who, battles, score, low, high, excess, excess_low,
        excess_high``: ``who`` is "voters" or a key of `expectations`;
        ``excess`` is the score less the voters'. Best scores first.
    """
    named = {
        name: family(name)
        for name in {*battles["model_a"], *battles["model_b"]}
        if name is not None
    }
    first, second = (
        battles[column].replace_strict(named, default=None, return_dtype=pl.String).to_numpy()
        for column in ("model_a", "model_b")
    )
    scored = {"voters": _score(np.eye(3)[labels])}
    scored |= {who: _score(probabilities) for who, probabilities in expectations.items()}
    rows = []
    for name in sorted(set(named.values())):
        inside = (first == name) != (second == name)
        count = int(inside.sum())
        if count < fewest:
            continue
        ones, group = np.ones(count), groups[inside]
        as_first = first[inside] == name
        actual = np.where(as_first, scored["voters"][inside], 1 - scored["voters"][inside])
        for who, score in scored.items():
            own = np.where(as_first, score[inside], 1 - score[inside])
            found = ratio(own, ones, group)
            excess = ratio(own - actual, ones, group)
            values = (found.value, found.low, found.high)
            rows.append(
                (name, who, count, *values, excess.value, excess.low, excess.high),
            )
    frame = pl.DataFrame(rows, _SCHEMA, orient="row")
    best = pl.col("score").filter(pl.col("who") == "voters").first().over("family")
    return frame.sort(best, descending=True, maintain_order=True)


_SCHEMA = {
    "family": pl.String,
    "who": pl.String,
    "battles": pl.Int64,
    **dict.fromkeys(("score", "low", "high", "excess", "excess_low", "excess_high"), pl.Float64),
}


def _score(probabilities: Probabilities) -> Floats:
    """What side a scores, shape (n,)."""
    score: Floats = probabilities[:, 0] + probabilities[:, 2] / 2
    return score
