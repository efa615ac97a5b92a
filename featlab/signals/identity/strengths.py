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
_LEVEL = 0.95


@dataclass(frozen=True)
class Strengths:
    """What battles say of the models that fought them.

    Parameters
    ----------
    names : tuple of str
        The models, in alphabetical order.
    tie : float
        The tie parameter: the log of a tie's weight between two average models.
    strength : float64 array of shape (models,)
        In log odds, with mean 0.
    standard_error : float64 array of shape (models,)
        Of each strength against the mean, from the curvature of the penalised
        likelihood.
    tie_propensity : float64 array of shape (models,)
        What each model adds to it.

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
    tie: float
    strength: Floats = field(repr=False)
    standard_error: Floats = field(repr=False)
    tie_propensity: Floats = field(repr=False)

    def of(self, models: Sequence[str]) -> Floats:
        """Return the strengths of some models; 0, the mean, where one never fought."""
        return self.look_up(self.strength, models, 0.0)

    def look_up(self, values: Floats, models: Sequence[str], unknown: float) -> Floats:
        """Return those of some models of `values`, one for each of `names`."""
        known = dict(zip(self.names, values.tolist(), strict=True))
        return np.array([known.get(model, unknown) for model in models])

    def probabilities(
        self, strength_a: Floats, strength_b: Floats, propensity: Floats | float = 0.0
    ) -> Floats:
        """Return the chances of a, b and a tie.

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


def fit_strengths(
    model_a: pl.Series,
    model_b: pl.Series,
    label: pl.Series,
    weights: Floats | None = None,
    regularisation: float = STRENGTH_REGULARISATION,
    *,
    tie_regularisation: float = TIE_REGULARISATION,
    tie_known: NDArray[np.bool_] | None = None,
) -> Strengths:
    """Fit Davidson's model to battles.

    Parameters
    ----------
    model_a, model_b : Series of String, length n
        Battles where either is null, or where both are the same, are left out.
    label : Series of integers, length n
        0 a won, 1 b won, 2 tie.
    weights : float64 array of shape (n,), optional
        How many battles each counts for.
    regularisation : float
        Half of it times the squared strengths is added to the negative log
        likelihood: strengths are taken to spread with variance
        1 / `regularisation`.
    tie_regularisation : float
        The same for the tie propensities.
    tie_known : bool array of shape (n,), optional
        Where false, the battle's source holds no ties, so that it tells only
        which of the two is stronger.

    Raises
    ------
    BattleError
        When no battle is left.
    ConfigError
        When a regularisation is not above 0 and finite.
    """
    penalties = (regularisation, tie_regularisation)
    if not 0.0 < min(penalties) <= max(penalties) < np.inf:
        raise ConfigError(f"strengths: regularisation {penalties} must be above 0 and finite")
    games = _Games.of(model_a, model_b, label, weights, tie_known)
    counts, models = games.counts(games.weight), len(games.names)
    solution = games.solve(counts, penalties)
    _, _, curvature = _loss(solution, counts, penalties)
    spread = np.linalg.inv(curvature)[:models, :models]
    # The penalty alone holds the mean, which is 0 by convention and so has no error.
    error = np.sqrt(np.diag(spread) - spread.mean())
    strength = solution[:models] - solution[:models].mean()
    propensity = solution[models:-1].copy()
    return Strengths(games.names, float(solution[-1]), strength, error, propensity)


def bootstrap_strengths(
    model_a: pl.Series,
    model_b: pl.Series,
    label: pl.Series,
    groups: NDArray[Any] | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return the bounds of each strength's 95 % interval, over resampled groups of battles.

    Parameters
    ----------
    model_a, model_b, label : Series, length n
        As in `fit_strengths`.
    groups : array of shape (n,), optional
        Battles of one group (of one prompt) are drawn together; by default
        each battle is a group of its own.
    resamples : int
    seed : int
        Root seed of the draws.

    Returns
    -------
    Two float64 arrays of shape (models,), in the order of the names that
    `fit_strengths` gives.

    Examples
    --------
    >>> names = pl.Series(["x", "y"] * 20), pl.Series(["y", "x"] * 20)
    >>> low, high = bootstrap_strengths(*names, pl.Series([0, 1, 0, 0] * 10), resamples=50)
    >>> bool(low[0] < high[0])
    True
    """
    games = _Games.of(model_a, model_b, label)
    penalties = (STRENGTH_REGULARISATION, TIE_REGULARISATION)
    start = games.solve(games.counts(games.weight), penalties)
    group = games.rows if groups is None else np.asarray(groups)[games.rows]
    _, member = np.unique(group, return_inverse=True)
    count = int(member.max()) + 1
    generator = np.random.default_rng(derive_seed(seed, "bootstrap strengths"))
    drawn = np.empty((resamples, len(games.names)))
    for index in range(resamples):
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        counts = games.counts(games.weight * times[member])
        drawn[index] = games.solve(counts, penalties, start)[: len(games.names)]
    low, high = np.quantile(drawn, [(1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0], axis=0)
    return low, high


@dataclass(frozen=True)
class _Games:
    """Battles with names, as numbers."""

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    cell: NDArray[np.int64]
    weight: Floats

    @classmethod
    def of(
        cls,
        model_a: pl.Series,
        model_b: pl.Series,
        label: pl.Series,
        weights: Floats | None = None,
        tie_known: NDArray[np.bool_] | None = None,
    ) -> _Games:
        size = len(label)
        frame = pl.DataFrame(
            {
                "a": model_a.cast(pl.String),
                "b": model_b.cast(pl.String),
                "label": label.cast(pl.Int64),
                "weight": np.ones(size) if weights is None else weights,
                "known": np.ones(size, np.bool_) if tie_known is None else tie_known,
            }
        ).with_row_index("row")
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
        cell = ((kind * models + first) * models + second).astype(np.int64)
        rows = fought["row"].to_numpy().astype(np.int64)
        return cls(tuple(names.to_list()), rows, cell, weight)

    def counts(self, weight: Floats) -> Floats:
        """Return how often each model (row) beat each other: shape (3, models, models).

        First the wins in battles that could have been ties, then those in
        battles that could not, then the ties, which stand on both sides.
        """
        models = len(self.names)
        counts = np.bincount(self.cell, weight, 3 * models**2).astype(np.float64)
        counts = counts.reshape(3, models, models)
        counts[TIE] = counts[TIE] + counts[TIE].T
        return counts

    def solve(
        self, counts: Floats, penalties: tuple[float, float], start: Floats | None = None
    ) -> Floats:
        """Return strengths, tie propensities and, last, the tie parameter, by Newton's method.

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
    parameters: Floats, counts: Floats, penalties: tuple[float, float]
) -> tuple[float, Floats, Floats]:
    """Return the penalised negative log likelihood, its gradient and its Hessian.

    Everything is an array of shape (models, models) in which each pair stands
    twice, once from either side.
    """
    known_wins, untied_wins, ties = counts
    models = len(ties)
    strength, propensity, tie = parameters[:models], parameters[models:-1], parameters[-1]
    penalty, tie_penalty = penalties
    difference = strength[:, None] - strength[None, :]
    tied = tie + propensity[:, None] + propensity[None, :]
    half = difference / 2.0
    total = np.logaddexp(np.logaddexp(half, -half), tied)
    win, draw = np.exp(half - total), np.exp(tied - total)
    known = known_wins + known_wins.T + ties
    untied = untied_wins + untied_wins.T
    alone = 0.5 * (1.0 + np.tanh(half))

    # Sums over both sides of a pair count everything twice but the wins, each of one winner.
    loss = (
        (known * total).sum() / 2.0
        - (known_wins * half).sum()
        - (ties * tied).sum() / 2.0
        + (untied_wins * np.logaddexp(0.0, -difference)).sum()
        + penalty / 2.0 * strength @ strength
        + _PARAMETER_RIDGE / 2.0 * tie**2
        + tie_penalty / 2.0 * propensity @ propensity
    )
    lead = (win - win.T) / 2.0
    surplus = known * lead - (known_wins - known_wins.T) / 2.0
    surplus = surplus + untied * alone - untied_wins
    excess = known * draw - ties
    gradient = np.concatenate(
        [
            surplus.sum(axis=1) + penalty * strength,
            excess.sum(axis=1) + tie_penalty * propensity,
            [excess.sum() / 2.0 + _PARAMETER_RIDGE * tie],
        ]
    )

    by_margin = known * ((win + win.T) / 4.0 - lead**2) + untied * alone * (1.0 - alone)
    by_both = -known * draw * lead
    by_tie = known * draw * (1.0 - draw)
    margin_block = np.diag(by_margin.sum(axis=1)) - by_margin + penalty * np.eye(models)
    mixed_block = np.diag(by_both.sum(axis=1)) + by_both
    tie_block = np.diag(by_tie.sum(axis=1)) + by_tie + tie_penalty * np.eye(models)
    edge = np.concatenate([by_both.sum(axis=1), by_tie.sum(axis=1)])
    corner = by_tie.sum() / 2.0 + _PARAMETER_RIDGE
    inner = np.block([[margin_block, mixed_block], [mixed_block.T, tie_block]])
    curvature = np.block([[inner, edge[:, None]], [edge[None, :], np.array([[corner]])]])
    return float(loss), gradient, curvature
