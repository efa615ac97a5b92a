"""The kernel: battles that lie near each other end alike.

Two battles are near if their columns are. With d(x, y) the distance between two
battles and x' the battle x with its sides exchanged,

    k(x, y) = exp(-d(x, y)^2),  odd: (k(x, y) - k(x', y)) / 2,  even: (k(x, y) + k(x', y)) / 2

so a regression on the odd kernel changes sign with the sides and one on the
even kernel does not. "A or B" is a logistic regression without intercept on the
odd kernel, fitted on battles that one side won; "tie or not" is one on the even
kernel. Together they are three probabilities that are symmetric by
construction. It is the posterior mode of a Gaussian process classifier whose
prior is invariant under the exchange (Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, sections 3.4 and 4.2.3; Ginsbourger,
Roustant and Durrande, "On degeneracy and invariances of random fields paths",
2016).

The kernel is expanded in `LANDMARKS` training battles (Nystroem's method,
Williams and Seeger, NIPS 2000), so cost grows with the number of battles and
not with its square. Two hundred correlated columns tell little more than a few
directions, and as many landmarks as battles did no better.

The distance adds up two blocks, scaled once and for all, so that nothing is left to search: scalar
columns, whose mean squared distance is about 1, and vectors
(`featlab.columns.Kind.VECTOR`), the coordinates and their sizes, at `VECTOR_SHARE`.
Penalties are the prior's precision, so they do not depend on how many battles
there are; each is chosen by leaving out one training fold after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit
from threadpoolctl import ThreadpoolController, threadpool_limits

from featlab.battles.schema import TIE
from featlab.columns import Column, Kind
from featlab.parity import Parity
from featlab.randomness import derive_seed
from featlab.signals.state import State
from featlab.threads import in_threads
from models.probabilities import Floats, Probabilities, Rows
from models.stacking.scaled_columns import ScaledColumns, column_values
from models.stacking.table import Matrix, Table, weighted_shares

PENALTIES = (1.6, 0.8, 0.4, 0.2, 0.1)
"""Prior precisions to choose from, strongest first."""

LANDMARKS = 1_000
"""Training battles that the kernel is expanded in, at most."""

VECTOR_SHARE = 0.25
"""Mean squared distance between vectors, where that between scalar columns is 1."""

_ARRAYS = ("landmarks_odd", "landmarks_even", "margin", "tie")
_JITTER = 1e-6
_STEPS = 60
_ROUGHLY, _CLOSELY = 1e-6, 1e-10
_TILE = 48


@dataclass(frozen=True)
class Coordinates:
    """Where a battle lies: a point whose odd coordinates change sign with the sides.

    Parameters
    ----------
    odd, even : ScaledColumns
        Scalar columns.
    vector : tuple of str
        Odd coordinates of vectors; their sizes are even coordinates.
    vector_scale : float
        What vectors are multiplied by.
    """

    odd: ScaledColumns
    even: ScaledColumns
    vector: tuple[str, ...]
    vector_scale: float

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Iterable[Column]) -> Coordinates:
        """Measure the scales on training battles."""
        columns = tuple(columns)

        def scalars(parity: Parity) -> list[str]:
            return [
                column.name
                for column in columns
                if column.kind is not Kind.VECTOR and column.parity is parity
            ]

        vector = [column.name for column in columns if column.kind is Kind.VECTOR]
        squares = (np.nan_to_num(column_values(frame, vector)) ** 2).sum(axis=1)
        spread = 2.0 * float(squares.mean()) if vector else 0.0
        return cls(
            ScaledColumns.of(frame, scalars(Parity.ODD), odd=True),
            ScaledColumns.of(frame, scalars(Parity.EVEN), odd=False),
            tuple(vector),
            (VECTOR_SHARE / spread) ** 0.5 if spread > 0.0 else 0.0,
        )

    def place(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """Return odd and even coordinates, float64 of shape (n, coordinates) each."""
        scalars = len(self.odd.names) + len(self.even.names)
        scale = (2.0 * max(scalars, 1)) ** -0.5
        vector = np.nan_to_num(column_values(frame, self.vector)) * self.vector_scale
        odd, even = self.odd.scale(frame) * scale, self.even.scale(frame) * scale
        return np.hstack([odd, vector]), np.hstack([even, np.abs(vector)])


@dataclass(frozen=True)
class SymmetricKernel:
    """One fold's pair of regressions.

    Parameters
    ----------
    coordinates : Coordinates
    landmarks_odd, landmarks_even : float32 arrays of shape (landmarks, coordinates)
    margin : float64 array of shape (landmarks,)
        Coefficients of the log odds that a beats b.
    tie : float64 array of shape (landmarks,)
        Coefficients of the log odds of a tie.
    tie_intercept : float
        Minus infinity where there are no ties to learn from.
    penalties : tuple of float
        Those chosen, of the margin and of the tie.
    """

    coordinates: Coordinates
    landmarks_odd: Matrix = field(repr=False)
    landmarks_even: Matrix = field(repr=False)
    margin: Floats = field(repr=False)
    tie: Floats = field(repr=False)
    tie_intercept: float
    penalties: tuple[float, float]

    @property
    def knows_ties(self) -> bool:
        """Whether there were ties to learn from."""
        return bool(np.isfinite(self.tie_intercept))

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        margin, tie = self._logits(frame)
        return joined_probabilities(margin, tie)

    def tie_probability(self, frame: pl.DataFrame) -> Floats:
        """Return the chance of a tie, float64 of shape (n,)."""
        return self.predict(frame)[:, TIE]

    def _logits(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        odd, even = self.coordinates.place(frame)
        margin, tie = np.empty(len(frame)), np.empty(len(frame))
        landmarks = (self.landmarks_odd.astype(np.float64), self.landmarks_even.astype(np.float64))
        with _libraries().limit(limits=1, user_api="blas"):
            for first in range(0, len(frame), _TILE):
                rows = slice(first, first + _TILE)
                near_odd, near_even = _kernels(_tile(odd[rows]), _tile(even[rows]), *landmarks)
                size = len(margin[rows])
                margin[rows] = (near_odd * self.margin).sum(axis=1)[:size]
                tie[rows] = (near_even * self.tie).sum(axis=1)[:size] + self.tie_intercept
        return margin, tie


@cache
def _libraries() -> ThreadpoolController:
    """Return the loaded libraries, which take as long to find as a battle to predict."""
    return ThreadpoolController()


def _tile(rows: Floats) -> Floats:
    """Rows filled up to a tile.

    BLAS sums a row otherwise in a matrix of another shape, and at the edge of
    one that its blocks of 2 to 24 rows do not fill; a prediction must not
    depend on the battles that are predicted with it.
    """
    if len(rows) == _TILE:
        return rows
    return np.vstack([rows, np.zeros((_TILE - len(rows), rows.shape[1]))])


def _kernels(
    odd: Floats, even: Floats, landmarks_odd: Floats, landmarks_even: Floats
) -> tuple[Floats, Floats]:
    """Return the odd and the even kernel between battles and landmarks, (n, landmarks) each."""
    apart = (
        (odd**2).sum(axis=1)[:, None]
        + (landmarks_odd**2).sum(axis=1)
        + (even**2).sum(axis=1)[:, None]
        + (landmarks_even**2).sum(axis=1)
        - 2.0 * (even @ landmarks_even.T)
    )
    along = 2.0 * (odd @ landmarks_odd.T)
    given = np.exp(np.minimum(along - apart, 0.0))
    exchanged = np.exp(np.minimum(-along - apart, 0.0))
    return (given - exchanged) / 2.0, (given + exchanged) / 2.0


def joined_probabilities(margin: Floats, tie: Floats) -> Probabilities:
    """Return three probabilities from the log odds of a against b and those of a tie.

    Examples
    --------
    >>> joined_probabilities(np.zeros(1), np.zeros(1)).tolist()
    [[0.25, 0.25, 0.5]]
    """
    tied, untied = expit(tie), expit(-tie)
    # Each side from its own exponential, so that exchanging them is exact.
    a, b = expit(margin), expit(-margin)
    joined: Probabilities = np.stack([untied * a, untied * b, tied], axis=1)
    return joined


@dataclass(frozen=True)
class Kernel:
    """The member that compares battles by all columns at once: fold models whose mean predicts."""

    models: Sequence[SymmetricKernel]

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return raw probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        total = np.zeros((len(frame), 3))
        frame = frame.cast(pl.Float64)
        # Limited around the threads, since each that ends would lift the limit for all.
        with _libraries().limit(limits=1, user_api="blas"):
            for predicted in in_threads(lambda model: model.predict(frame), self.models):
                total += predicted
        return total / len(self.models)

    def state(self) -> State:
        """Return every fold model as arrays and names."""
        arrays: dict[str, NDArray[Any]] = {}
        values = []
        for number, model in enumerate(self.models):
            coordinates = model.coordinates
            for side in ("odd", "even"):
                columns: ScaledColumns = getattr(coordinates, side)
                arrays[f"{number}.{side}.centre"] = columns.centre
                arrays[f"{number}.{side}.spread"] = columns.spread
            for name in _ARRAYS:
                arrays[f"{number}.{name}"] = getattr(model, name)
            values.append(
                {
                    "odd": list(coordinates.odd.names),
                    "even": list(coordinates.even.names),
                    "vector": list(coordinates.vector),
                    "vector_scale": coordinates.vector_scale,
                    # JSON knows no infinity.
                    "tie_intercept": model.tie_intercept if model.knows_ties else None,
                    "penalties": list(model.penalties),
                }
            )
        return State(arrays, {"models": values})

    @classmethod
    def from_state(cls, state: State) -> Kernel:
        """Return the kernel that a state describes."""
        models = []
        for number, entry in enumerate(state.values["models"]):
            odd, even = (
                ScaledColumns(
                    tuple(entry[side]),
                    state.arrays[f"{number}.{side}.centre"],
                    state.arrays[f"{number}.{side}.spread"],
                )
                for side in ("odd", "even")
            )
            margin_penalty, tie_penalty = entry["penalties"]
            models.append(
                SymmetricKernel(
                    Coordinates(odd, even, tuple(entry["vector"]), float(entry["vector_scale"])),
                    **{name: state.arrays[f"{number}.{name}"] for name in _ARRAYS},
                    tie_intercept=-np.inf
                    if entry["tie_intercept"] is None
                    else float(entry["tie_intercept"]),
                    penalties=(margin_penalty, tie_penalty),
                )
            )
        return cls(tuple(models))


@dataclass(frozen=True)
class KernelOutOfFold:
    """What the kernel says of battles that its models never saw.

    Parameters
    ----------
    probabilities : float64 array of shape (n, 3)
    hidden_ties : mapping of int to float64 array of shape (extra battles,)
        Held-out fold -> the chance of a tie of every extra battle, as the
        model of that fold sees it: what a source without ties left out.
    """

    probabilities: Probabilities
    hidden_ties: Mapping[int, Floats] = field(default_factory=dict, repr=False)


def fit_kernel(table: Table, seed: int) -> tuple[Kernel, KernelOutOfFold]:
    """Fit one pair a fold on the other folds and the extra battles; predict out of fold."""
    folds = table.fold_numbers
    # One BLAS thread a fold: sums come out the same for any number of threads.
    with threadpool_limits(limits=1, user_api="blas"):
        models = in_threads(
            lambda fold: fit_symmetric_kernel(
                table, table.training_rows(fold), derive_seed(seed, "landmarks", fold)
            ),
            folds,
        )
    prediction = np.zeros((len(table.labels), 3))
    hidden = {}
    for fold, model in zip(folds, models, strict=True):
        rows = np.flatnonzero(table.folds == fold)
        prediction[rows] = model.predict(table.frame[rows])
        if table.extra is not None:
            hidden[fold] = model.tie_probability(table.extra.frame)
    return Kernel(tuple(models)), KernelOutOfFold(prediction, hidden)


def fit_symmetric_kernel(table: Table, rows: Rows, seed: int) -> SymmetricKernel:
    """Fit the pair on some battles and all extra ones, each penalty chosen across their folds.

    Parameters
    ----------
    table : Table
    rows : int64 array
        The battles to fit on.
    seed : int
        Seed of the draw of landmarks.
    """
    frame, folds = table.frame[rows], table.folds[rows]
    shares = np.eye(3)[table.labels[rows]]
    tie_known = np.ones(len(rows), np.bool_)
    if table.extra is not None:
        more = table.extra.outcomes
        frame = pl.concat([frame, table.extra.frame])
        folds = np.concatenate([folds, table.extra.folds])
        shares = np.concatenate([shares, weighted_shares(more)])
        tie_known = np.concatenate([tie_known, more.tie_known])
    coordinates = Coordinates.of(frame, table.columns)
    odd, even = coordinates.place(frame)
    drawn = np.random.default_rng(seed).permutation(len(frame))[:LANDMARKS]
    landmarks = np.sort(drawn)
    # Rounded as they are stored, so that a bundle predicts what was fitted.
    landmarks_odd, landmarks_even = (part[landmarks].astype(np.float32) for part in (odd, even))
    rounded = landmarks_odd.astype(np.float64), landmarks_even.astype(np.float64)
    kernels = _kernels(odd, even, *rounded)
    # From the rounded points on both sides: a kernel that is not quite symmetric has no root.
    between = _kernels(*rounded, *rounded)
    decisive = shares[:, 0] + shares[:, 1]
    margin = _Regression.of(
        kernels[0], between[0], shares[:, 0], decisive, folds, decisive > 0, intercept=False
    )
    to_a, _, margin_penalty = margin.best_fit()
    if table.ties:
        tie = _Regression.of(
            kernels[1], between[1], shares[:, TIE], shares.sum(1), folds, tie_known, intercept=True
        )
        to_tie, base, tie_penalty = tie.best_fit()
    else:
        to_tie, base, tie_penalty = np.zeros(len(landmarks)), -np.inf, PENALTIES[0]
    return SymmetricKernel(
        coordinates,
        landmarks_odd,
        landmarks_even,
        to_a,
        to_tie,
        base,
        (margin_penalty, tie_penalty),
    )


@dataclass(frozen=True)
class _Regression:
    """Ridge logistic regression on a kernel's whitened columns.

    Parameters
    ----------
    whitening : float64 array of shape (landmarks, landmarks)
        Lower triangular factor of the kernel between landmarks.
    rows : float64 array of shape (n, landmarks, and one more for an intercept)
    targets, weight : float64 arrays of shape (n,)
        Share of hits and weight of each row.
    folds : int array of shape (n,)
    intercept : bool
        Whether the last column of `rows` is the constant 1, which no penalty holds.
    """

    whitening: Floats
    rows: Floats
    targets: Floats
    weight: Floats
    folds: Rows
    intercept: bool

    @classmethod
    def of(
        cls,
        kernel: Floats,
        between: Floats,
        hits: Floats,
        weight: Floats,
        folds: Rows,
        kept: NDArray[np.bool_],
        *,
        intercept: bool,
    ) -> _Regression:
        whitening = cholesky(between + _JITTER * np.eye(len(between)), lower=True)
        rows = solve_triangular(whitening, kernel[kept].T, lower=True).T
        if intercept:
            rows = np.hstack([rows, np.ones((len(rows), 1))])
        weight = weight[kept]
        targets = hits[kept] / np.maximum(weight, np.finfo(np.float64).tiny)
        return cls(whitening, rows, targets, weight, folds[kept], intercept)

    def best_fit(self) -> tuple[Floats, float, float]:
        """Coefficients of the landmarks, intercept and penalty."""
        hits, total = float(self.weight @ self.targets), float(self.weight.sum())
        start = np.log((hits + 0.5) / (total - hits + 0.5)) if self.intercept else 0.0
        if hits <= 0.0 or hits >= total:
            return np.zeros(len(self.whitening)), start, PENALTIES[0]
        grams = {
            int(fold): self._gram(np.flatnonzero(self.folds == fold))
            for fold in np.unique(self.folds)
        }
        gram = sum(grams.values(), np.zeros_like(next(iter(grams.values()))))
        losses = np.zeros(len(PENALTIES))
        for fold, own in grams.items():
            inside = self.folds == fold
            path = self._path(~inside, gram - own, PENALTIES, start, _ROUGHLY)
            for index, solution in enumerate(path):
                logits = self.rows[inside] @ solution
                losses[index] += self.weight[inside] @ _loss(logits, self.targets[inside])
        penalty = PENALTIES[int(losses.argmin())]
        everything = np.ones(len(self.rows), np.bool_)
        (solution,) = self._path(everything, gram, [penalty], start, _CLOSELY)
        size = len(self.whitening)
        coefficients: Floats = solve_triangular(
            self.whitening, solution[:size], lower=True, trans="T"
        )
        return coefficients, float(solution[size]) if self.intercept else 0.0, penalty

    def _gram(self, rows: Rows) -> Floats:
        chosen = self.rows[rows]
        gram: Floats = chosen.T @ (chosen * self.weight[rows, None])
        return gram

    def _path(
        self,
        kept: NDArray[np.bool_],
        gram: Floats,
        penalties: Sequence[float],
        start: float,
        tolerance: float,
    ) -> Iterator[Floats]:
        """Minimise the penalised loss on some rows, each penalty from the solution before.

        In coordinates in which the curvature at the base rate is the identity,
        a few steps suffice.
        """
        # Imported where something is fitted: predictions do not wait for it.
        from scipy.optimize import minimize

        rows, targets, weight = self.rows[kept], self.targets[kept], self.weight[kept]
        base = float(expit(start))
        solution = np.zeros(rows.shape[1])
        if self.intercept:
            solution[-1] = start
        for penalty in penalties:
            ridge = np.full(rows.shape[1], penalty)
            if self.intercept:
                ridge[-1] = _JITTER
            factor = cholesky(gram * (base * (1.0 - base)) + np.diag(ridge))
            found = minimize(
                _penalised_loss,
                factor @ solution,
                args=(factor, ridge, rows, targets, weight),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-4},
            )
            solution = solve_triangular(factor, found.x)
            yield solution


def _penalised_loss(
    preconditioned: Floats,
    factor: Floats,
    ridge: Floats,
    rows: Floats,
    targets: Floats,
    weight: Floats,
) -> tuple[float, Floats]:
    """Return the loss and its gradient at the solution of factor @ solution = preconditioned."""
    solution = solve_triangular(factor, preconditioned)
    logits = rows @ solution
    gradient = (weight * (expit(logits) - targets)) @ rows + ridge * solution
    value = weight @ _loss(logits, targets) + 0.5 * (ridge * solution) @ solution
    return float(value), solve_triangular(factor, gradient, trans="T")


def _loss(logits: Floats, targets: Floats) -> Floats:
    return np.logaddexp(0.0, logits) - targets * logits
