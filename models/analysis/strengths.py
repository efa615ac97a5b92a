"""Strengths beside win rates, and how each family of models does against its strength."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.signals.identity.model_families import family
from featlab.signals.identity.strengths import bootstrap_strengths, fit_strengths
from models.analysis.counts import model_records
from models.evaluation.intervals import Floats, Groups, mean
from models.probabilities import Labels, Probabilities

VOTERS = "voters"

_SCHEMA = {
    "family": pl.String,
    "who": pl.String,
    "battles": pl.Int64,
    **dict.fromkeys(("score", "low", "high", "excess", "excess_low", "excess_high"), pl.Float64),
}


def families_of(models: pl.Series) -> pl.Series:
    """Return the family of each model, null where there is no name."""
    known = {name: family(name) for name in models.drop_nulls().unique()}
    return models.replace_strict(known, default=None, return_dtype=pl.String)


def strength_table(
    battles: pl.DataFrame, groups: Groups, resamples: int, seed: int
) -> pl.DataFrame:
    """Return every model's record with its Bradley-Terry strength, ties included, strongest first.

    The columns of `models.analysis.counts.model_records`, and ``strength,
    strength_low, strength_high`` in log-odds, mean 0, from resampled groups.
    """
    games = battles["model_a"], battles["model_b"], battles["label"]
    fitted = fit_strengths(*games)
    low, high = bootstrap_strengths(*games, groups=groups, resamples=resamples, seed=seed)
    strengths = pl.DataFrame(
        {
            "model": fitted.names,
            "strength": fitted.strength,
            "strength_low": low,
            "strength_high": high,
        }
    )
    records = model_records(battles).join(strengths, on="model", how="inner")
    return records.sort("strength", descending=True)


def expected_outcomes(battles: pl.DataFrame, folds: NDArray[np.int64]) -> Probabilities:
    """Return outcome probabilities from strengths fitted on the other folds: shape (n, 3).

    Every battle must name both models.
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
    expectations: Mapping[str, Probabilities],
    groups: Groups,
    fewest: int = 50,
) -> pl.DataFrame:
    """Return what each family scores against others, and is expected to by each of some.

    A win scores 1 and a tie one half; battles inside a family always score one
    half, so they are left out, as are families of fewer than `fewest` battles.
    The columns are ``family, who, battles, score, low, high, excess, excess_low,
    excess_high``, best scores first: ``who`` is `VOTERS` or a key of
    `expectations`, and ``excess`` the score less the voters'.
    """
    first, second = (families_of(battles[column]).to_numpy() for column in ("model_a", "model_b"))
    scored = {VOTERS: _score(np.eye(3)[labels])}
    scored |= {who: _score(probabilities) for who, probabilities in expectations.items()}
    rows = []
    for name in sorted({*first, *second}):
        inside = (first == name) != (second == name)
        count, group = int(inside.sum()), groups[inside]
        if count < fewest:
            continue
        own = {
            who: np.where(first[inside] == name, score[inside], 1 - score[inside])
            for who, score in scored.items()
        }
        for who, score in own.items():
            found, excess = mean(score, group), mean(score - own[VOTERS], group)
            bounds = (found.value, found.low, found.high, excess.value, excess.low, excess.high)
            rows.append((name, who, count, *bounds))
    best = pl.col("score").filter(pl.col("who") == VOTERS).first().over("family")
    frame = pl.DataFrame(rows, _SCHEMA, orient="row")
    return frame.sort(best, descending=True, maintain_order=True)


def _score(probabilities: Probabilities) -> Floats:
    """Return what side a scores, shape (n,)."""
    score: Floats = probabilities[:, 0] + probabilities[:, 2] / 2
    return score
