"""Strengths beside win rates, and how each family of models does against its strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.signals.identity.model_families import family
from featlab.signals.identity.strengths import (
    STRENGTH_REGULARISATION,
    bootstrap_strengths,
    fit_strengths,
)
from models.analysis.counts import model_records
from models.analysis.differences import LENGTH, side_values
from models.analysis.effects import PRIOR_PRECISION, fit_logistic
from models.evaluation.intervals import Floats, Groups, mean, with_shares
from models.probabilities import Labels, Probabilities

VOTERS = "voters"

FEWEST = 50
"""Battles that a model or a family must have to be ranked or shown."""

STYLE = (LENGTH, "headers", "bold_spans", "list_items")
"""What Arena's style control holds equal: each as a share of both responses' amount."""

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


def leaderboard(
    battles: pl.DataFrame,
    text: pl.DataFrame,
    groups: Groups,
    resamples: int,
    seed: int,
    fewest: int = FEWEST,
) -> pl.DataFrame:
    """Return every model's rank, strength and record, strongest first, the little known last.

    The columns are ``rank, best_rank, worst_rank, model, battles, win_rate``; ``strength,
    strength_low, strength_high``, Davidson's (Bradley-Terry with ties) in log-odds,
    mean 0, over resampled groups; ``style_controlled``, the strength moved by what
    adding `STYLE` moves a regression of decisive votes; ``win_rate_low,
    win_rate_high``, of decisive battles; ``wins, ties, losses``; and ``few``, whether
    it has fewer than `fewest` battles. Those have no rank and count in none. As on
    Arena, the best rank counts the models that are better for certain, and the worst
    those that may be.
    """
    games = battles["model_a"], battles["model_b"], battles["label"]
    fitted = fit_strengths(*games)
    low, high = bootstrap_strengths(*games, groups=groups, resamples=resamples, seed=seed)
    moved = _moved_by_style(battles, text, groups, fitted.names)
    strengths = pl.DataFrame(
        {
            "model": fitted.names,
            "strength": fitted.strength,
            "strength_low": low,
            "strength_high": high,
            "style_controlled": fitted.strength + moved,
        }
    )
    records = model_records(battles).with_columns(few=pl.col("battles") < fewest)
    frame = strengths.join(records, on="model", how="inner")
    frame = frame.sort(["few", "strength"], descending=[False, True])
    known = frame.filter(~pl.col("few"))
    lows, highs = (known[f"strength_{end}"].to_numpy() for end in ("low", "high"))
    nothing = [None] * (len(frame) - len(known))
    ranks = {
        "rank": np.arange(1, len(known) + 1),
        "best_rank": 1 + (lows[None, :] > highs[:, None]).sum(axis=1),
        "worst_rank": (highs[None, :] >= lows[:, None]).sum(axis=1),
    }
    return frame.select(
        *(pl.Series(name, [*found.tolist(), *nothing], pl.Int64) for name, found in ranks.items()),
        "model", "battles", pl.col("share").alias("win_rate"), "strength", "strength_low",
        "strength_high", "style_controlled", pl.col("low").alias("win_rate_low"),
        pl.col("high").alias("win_rate_high"), "wins", "ties", "losses", "few",
    )  # fmt: skip


def _moved_by_style(
    battles: pl.DataFrame, text: pl.DataFrame, groups: Groups, names: Sequence[str]
) -> Floats:
    """How far each strength moves as style enters the regression: Li and others, 2024."""
    decisive = (battles["label"] < 2).to_numpy()
    sides = [battles[f"model_{side}"].filter(decisive) for side in "ab"]
    first, second = (side.to_numpy()[:, None] == np.array(names) for side in sides)
    design = first.astype(float) - second
    won = (battles["label"].filter(decisive) == 0).cast(pl.Float64).to_numpy()
    values = [side_values(text.filter(decisive), feature) for feature in STYLE]
    style = np.column_stack([(a - b) / np.maximum(a + b, 1) for a, b in values])
    precision = [STRENGTH_REGULARISATION] * len(names)
    raw, controlled = (
        [found.value for found in fit_logistic(columns, won, groups[decisive], prior)][: len(names)]
        for columns, prior in (
            (design, precision),
            (np.hstack([design, style]), precision + [PRIOR_PRECISION] * len(STYLE)),
        )
    )
    return np.subtract(controlled, raw)


def pair_records(first: pl.Series, second: pl.Series, labels: Labels) -> pl.DataFrame:
    """Return how often each beat each other, twice a pair, once from either side.

    The columns are ``winner, loser, battles, wins, ties, of, share, low, high``;
    ``of`` counts the decisive battles. Null names, and a name against itself, are
    left out.
    """
    battles = pl.DataFrame({"winner": first, "loser": second, "label": labels.astype(np.int64)})
    mirrored = battles.select(
        winner="loser", loser="winner", label=pl.col("label").replace_strict({0: 1, 1: 0, 2: 2})
    )
    label = pl.col("label")
    frame = (
        pl.concat([battles, mirrored])
        .filter(pl.col("winner") != pl.col("loser"))
        .group_by("winner", "loser")
        .agg(
            battles=pl.len().cast(pl.Int64),
            wins=(label == 0).sum(),
            ties=(label == 2).sum(),
            of=(label < 2).sum(),
        )
        .sort(["battles", "winner", "loser"], descending=[True, False, False])
    )
    return with_shares(frame, "wins")


def expected_outcomes(battles: pl.DataFrame, folds: NDArray[np.int64]) -> Probabilities:
    """Return outcome probabilities from strengths fitted on the other folds: shape (n, 3).

    Every battle must name both models.
    """
    result = np.empty((len(battles), 3))
    for fold in np.unique(folds):
        training = battles.filter(pl.Series(folds != fold))
        fitted = fit_strengths(training["model_a"], training["model_b"], training["label"])
        held_out = battles.filter(pl.Series(folds == fold))
        names = [held_out[column].to_list() for column in ("model_a", "model_b")]
        ties = [fitted.look_up(fitted.tie_propensity, side, 0.0) for side in names]
        a, b = (fitted.of(side) for side in names)
        result[folds == fold] = fitted.probabilities(a, b, ties[0] + ties[1])
    return result


def family_scores(
    battles: pl.DataFrame,
    labels: Labels,
    expectations: Mapping[str, Probabilities],
    groups: Groups,
    fewest: int = FEWEST,
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
