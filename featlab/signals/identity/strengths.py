r"""Strengths of models from battles with ties: Davidson's model, regularised.

With the difference :math:`d = s_a - s_b` of two strengths, the tie parameter
:math:`\tau` and the two models' tie propensities :math:`u`,

.. math::
    P(a) = e^{d/2} / Z,\quad P(b) = e^{-d/2} / Z,\quad P(tie) = e^{\tau + u_a + u_b} / Z,

so :math:`d` is the log odds of a against b where there is no tie. The penalised
likelihood is convex; it is maximised by Newton's method on the counts of each
pair of models, so the time does not grow with the battles once they are counted.

R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in
paired comparison experiments", JASA 65(329), 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.schema import TIE
from featlab.errors import BattleError, ConfigError
from featlab.randomness import derive_seed

Floats = NDArray[np.float64]

STRENGTH_REGULARISATION = 2.0
TIE_REGULARISATION = 100.0

# Keeps the tie parameter finite where no battle, or every one, ended in a tie.
_PARAMETER_RIDGE = 0.01
_NEWTON_STEPS = 50
_HALVINGS = 30
_PRECISION = 1e-9


@dataclass(frozen=True)
class Strengths:
    """What battles say of the models that fought them.

    Parameters
    ----------
    names : tuple of str
        The models, in alphabetical order.
    strength : float64 array of shape (models,)
        In log odds, with mean 0.
    standard_error : float64 array of shape (models,)
        Of each strength against the mean, from the curvature of the penalised
        likelihood.
    tie : float
        The tie parameter: the log of a tie's weight between two average models.
    tie_propensity : float64 array of shape (models,)
        What each model adds to it.
    games : float64 array of shape (models,)
        Battles each model took part in, by weight.

    Examples
    --------
    >>> names = pl.Series(["x", "x", "x"]), pl.Series(["y", "y", "y"])
    >>> fitted = fit_strengths(*names, pl.Series([0, 0, 2]), regularisation=1.0)
    >>> fitted.names, fitted.strength.round(2).tolist()
    (('x', 'y'), [0.52, -0.52])
    >>> fitted.of(["y", "never seen"]).round(2).tolist()
    [-0.52, 0.0]
    """

    names: tuple[str, ...]
    strength: Floats = field(repr=False)
    standard_error: Floats = field(repr=False)
    tie: float
    tie_propensity: Floats = field(repr=False)
    games: Floats = field(repr=False)

    def of(self, models: Sequence[str]) -> Floats:
        """The strengths of some models; 0, the mean, where one never fought."""
        return self.look_up(self.strength, models, 0.0)

    def look_up(self, values: Floats, models: Sequence[str], unknown: float) -> Floats:
        """Of `values`, one for each of `names`, those of some models."""
        known = dict(zip(self.names, values.tolist(), strict=True))
        return np.array([known.get(model, unknown) for model in models])

    def probabilities(
        self,
        strength_a: Floats,
        strength_b: Floats,
        propensity: Floats | float = 0.0,
    ) -> Floats:
        """The chances of a, b and a tie.

        Parameters
        ----------
        strength_a, strength_b : float64 array of shape (n,)
        propensity : float64 array of shape (n,), default 0
            The sum of the two models' tie propensities.

        Returns
        -------
        float64 array of shape (n, 3) whose rows sum to 1. Exchanging the
        strengths exchanges the first two columns exactly.
        """
        half = (np.asarray(strength_a) - np.asarray(strength_b)) / 2.0
        logits = np.stack([half, -half, np.broadcast_to(self.tie + propensity, half.shape)], 1)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        total = (weights[:, 0] + weights[:, 1]) + weights[:, 2]
        chances: Floats = weights / total[:, None]
        return chances


@dataclass(frozen=True)
class StrengthIntervals:
    """Percentile intervals of strengths under resampling.

    Parameters
    ----------
    names : tuple of str
    low, high : float64 array of shape (models,)
        Bounds of each strength's interval, in log odds.
    tie_low, tie_high : float
        Bounds of the tie parameter's.
    level : float
        The intervals' coverage.
    """

    names: tuple[str, ...]
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    tie_low: float
    tie_high: float
    level: float


def fit_strengths(
    model_a: pl.Series,
    model_b: pl.Series,
    label: pl.Series,
    weights: pl.Series | Floats | None = None,
    regularisation: float = STRENGTH_REGULARISATION,
    *,
    tie_regularisation: float = TIE_REGULARISATION,
    tie_known: pl.Series | NDArray[np.bool_] | None = None,
) -> Strengths:
    """Fit Davidson's model to battles.

    Parameters
    ----------
    model_a, model_b : Series of String, length n
        Battles where either is null, or where both are the same, are left out.
    label : Series of integers, length n
        0 a won, 1 b won, 2 tie.
    weights : length n, optional
        How many battles each counts for.
    regularisation : float
        Half of it times the squared strengths is added to the negative log
        likelihood: strengths are taken to spread with variance
        1 / `regularisation`.
    tie_regularisation : float
        The same for the tie propensities; ``inf`` leaves them all at 0.
    tie_known : length n, optional
        Where false, the battle's source holds no ties, so that it tells only
        which of the two is stronger.

    Raises
    ------
    BattleError
        When no battle is left, or a label is not 0, 1 or 2.
    ConfigError
        When a regularisation is not above 0.
    """
    games = _Games.of(model_a, model_b, label, weights, tie_known)
    return games.fit(_penalties(regularisation, tie_regularisation))


def bootstrap_strengths(
    model_a: pl.Series,
    model_b: pl.Series,
    label: pl.Series,
    weights: pl.Series | Floats | None = None,
    regularisation: float = STRENGTH_REGULARISATION,
    *,
    tie_regularisation: float = TIE_REGULARISATION,
    tie_known: pl.Series | NDArray[np.bool_] | None = None,
    groups: NDArray[Any] | None = None,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> StrengthIntervals:
    """Percentile intervals of strengths, over resampled groups of battles.

    Parameters
    ----------
    groups : array of shape (n,), optional
        Battles of one group (of one prompt) are drawn together; by default
        each battle is a group of its own.
    resamples : int
    seed : int
        Root seed of the draws.
    level : float
        Coverage of the intervals.

    See `fit_strengths` for the others.

    Examples
    --------
    >>> names = pl.Series(["x", "y"] * 20), pl.Series(["y", "x"] * 20)
    >>> interval = bootstrap_strengths(*names, pl.Series([0, 1, 0, 0] * 10), resamples=50)
    >>> bool(interval.low[0] < interval.high[0])
    True
    """
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            f"bootstrap of strengths: {resamples} resamples at level {level}; "
            "give at least 1 and a level between 0 and 1"
        )
    games = _Games.of(model_a, model_b, label, weights, tie_known)
    penalties = _penalties(regularisation, tie_regularisation)
    start = games.solve(games.counts(games.weight), penalties)
    group = games.rows if groups is None else np.asarray(groups)[games.rows]
    _, member = np.unique(group, return_inverse=True)
    count = int(member.max()) + 1
    generator = np.random.default_rng(derive_seed(seed, "bootstrap strengths"))
    drawn = np.empty((resamples, len(start)))
    for index in range(resamples):
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        drawn[index] = games.solve(games.counts(games.weight * times[member]), penalties, start)
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    models = len(games.names)
    return StrengthIntervals(
        games.names, low[:models], high[:models], float(low[-1]), float(high[-1]), level
    )


def _penalties(strength: float, tie: float) -> tuple[float, float]:
    if not (strength > 0.0 and tie > 0.0):
        raise ConfigError(f"strengths: regularisation {strength} and {tie} must be above 0")
    return strength, tie


@dataclass(frozen=True)
class _Counts:
    """How often each model beat each other one: float64 arrays of shape (models, models).

    Row: the winner. `ties` is symmetric and its diagonal, as all diagonals,
    is 0. `known` are the wins in battles that could have been ties.
    """

    known: Floats
    untied: Floats
    ties: Floats


@dataclass(frozen=True)
class _Games:
    """Battles with names, as numbers."""

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    cell: NDArray[np.int64]
    weight: Floats
    played: Floats

    @classmethod
    def of(
        cls,
        model_a: pl.Series,
        model_b: pl.Series,
        label: pl.Series,
        weights: pl.Series | Floats | None,
        tie_known: pl.Series | NDArray[np.bool_] | None,
    ) -> _Games:
        size = len(label)
        frame = pl.DataFrame(
            {
                "a": model_a.cast(pl.String),
                "b": model_b.cast(pl.String),
                "label": label.cast(pl.Int64),
                "weight": np.ones(size) if weights is None else np.asarray(weights, np.float64),
                "known": np.ones(size, np.bool_) if tie_known is None else np.asarray(tie_known),
            }
        ).with_row_index("row")
        wrong = frame.filter(~pl.col("label").is_in([0, 1, 2]).fill_null(False))
        if not wrong.is_empty():
            raise BattleError(
                "holds something other than 0, 1 or 2",
                source="battles to fit strengths on",
                column="label",
                rows=wrong["row"].head(3).to_list(),
            )
        fought = frame.filter(pl.col("a") != pl.col("b"), pl.col("weight") > 0)
        if fought.is_empty():
            raise BattleError(
                "none names two different models, so there are no strengths to fit",
                source="battles to fit strengths on",
            )
        names = pl.concat([fought["a"], fought["b"]]).unique().sort()
        a, b = (fought[side].replace_strict(names, range(len(names))).to_numpy() for side in "ab")
        outcome, known = fought["label"].to_numpy(), fought["known"].to_numpy()
        # A battle adds to the cell of (kind, winner, loser); kinds: won where ties were
        # possible, won where they were not, tied.
        kind = np.where(outcome == TIE, TIE, np.where(known, 0, 1))
        first, second = np.where(outcome == 1, b, a), np.where(outcome == 1, a, b)
        models, weight = len(names), fought["weight"].to_numpy()
        played = (np.bincount(a, weight, models) + np.bincount(b, weight, models)).astype(float)
        cell = ((kind * models + first) * models + second).astype(np.int64)
        rows = fought["row"].to_numpy().astype(np.int64)
        return cls(tuple(names.to_list()), rows, cell, weight, played)

    def counts(self, weight: Floats) -> _Counts:
        """The counts of each pair, with the battles weighted."""
        models = len(self.names)
        cells = np.bincount(self.cell, weight, 3 * models**2).astype(np.float64)
        known, untied, ties = cells.reshape(3, models, models)
        return _Counts(known, untied, ties + ties.T)

    def fit(self, penalties: tuple[float, float]) -> Strengths:
        """The strengths of all battles."""
        counts, models = self.counts(self.weight), len(self.names)
        solution = self.solve(counts, penalties)
        _, _, curvature = _loss(solution, counts, penalties)
        spread = np.linalg.inv(curvature)[:models, :models]
        # The penalty alone holds the mean, which is 0 by convention and so has no error.
        error = np.sqrt(np.diag(spread) - spread.mean())
        strength = solution[:models] - solution[:models].mean()
        propensity = solution[models:-1].copy()
        return Strengths(self.names, strength, error, float(solution[-1]), propensity, self.played)

    def solve(
        self, counts: _Counts, penalties: tuple[float, float], start: Floats | None = None
    ) -> Floats:
        """Strengths, tie propensities and, last, the tie parameter, by Newton's method.

        The loss is convex and curved everywhere by the penalty, so a step that
        is halved until it lowers the loss always leads to the only minimum.
        """
        solution = np.zeros(2 * len(self.names) + 1) if start is None else start
        loss, gradient, curvature = _loss(solution, counts, penalties)
        for _ in range(_NEWTON_STEPS):
            if np.abs(gradient).max() <= _PRECISION * max(1.0, self.weight.sum()):
                break
            step = -np.linalg.solve(curvature, gradient)
            for halvings in range(_HALVINGS):
                tried = solution + step * 0.5**halvings
                found = _loss(tried, counts, penalties)
                if found[0] <= loss:
                    break
            solution, (loss, gradient, curvature) = tried, found
        return solution


def _loss(
    parameters: Floats, counts: _Counts, penalties: tuple[float, float]
) -> tuple[float, Floats, Floats]:
    """The penalised negative log likelihood, its gradient and its Hessian.

    Everything is an array of shape (models, models) in which each pair stands
    twice, once from either side.
    """
    models = len(counts.known)
    strength, propensity, tie = parameters[:models], parameters[models:-1], parameters[-1]
    penalty, tie_penalty = penalties
    free = np.isfinite(tie_penalty)
    difference = strength[:, None] - strength[None, :]
    tied = tie + propensity[:, None] + propensity[None, :]
    half = difference / 2.0
    total = np.logaddexp(np.logaddexp(half, -half), tied)
    win, draw = np.exp(half - total), np.exp(tied - total)
    known = counts.known + counts.known.T + counts.ties
    untied = counts.untied + counts.untied.T
    alone = 0.5 * (1.0 + np.tanh(half))

    # Sums over both sides of a pair count everything twice but the wins, each of one winner.
    loss = (
        (known * total).sum() / 2.0
        - (counts.known * half).sum()
        - (counts.ties * tied).sum() / 2.0
        + (counts.untied * np.logaddexp(0.0, -difference)).sum()
        + penalty / 2.0 * strength @ strength
        + _PARAMETER_RIDGE / 2.0 * tie**2
        + (tie_penalty / 2.0 * propensity @ propensity if free else 0.0)
    )
    lead = (win - win.T) / 2.0
    surplus = known * lead - (counts.known - counts.known.T) / 2.0
    surplus = surplus + untied * alone - counts.untied
    excess = known * draw - counts.ties

    by_margin = known * ((win + win.T) / 4.0 - lead**2) + untied * alone * (1.0 - alone)
    by_both = -known * draw * lead
    by_tie = known * draw * (1.0 - draw)
    gradient = np.concatenate(
        [
            surplus.sum(axis=1) + penalty * strength,
            excess.sum(axis=1) + tie_penalty * propensity if free else np.zeros(models),
            [excess.sum() / 2.0 + _PARAMETER_RIDGE * tie],
        ]
    )
    eye = np.eye(models)
    margin_block = np.diag(by_margin.sum(axis=1)) - by_margin + penalty * eye
    mixed_block, tie_block = np.zeros((models, models)), eye
    mixed_edge, tie_edge = by_both.sum(axis=1), np.zeros(models)
    if free:
        mixed_block = np.diag(mixed_edge) + by_both
        tie_block = np.diag(by_tie.sum(axis=1)) + by_tie + tie_penalty * eye
        tie_edge = by_tie.sum(axis=1)
    tie_corner = np.array([[by_tie.sum() / 2.0 + _PARAMETER_RIDGE]])
    curvature = np.block(
        [
            [margin_block, mixed_block, mixed_edge[:, None]],
            [mixed_block.T, tie_block, tie_edge[:, None]],
            [mixed_edge[None, :], tie_edge[None, :], tie_corner],
        ]
    )
    return float(loss), gradient, curvature
