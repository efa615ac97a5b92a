"""The kernel: battles that lie near each other end alike.

`models.stacking.coordinates` says what near means, and what an odd and an even
kernel are: a regression on the odd kernel changes sign with the sides, one on
the even kernel does not. "A or B" is a logistic regression without intercept on
the odd kernel, fitted on battles that one side won; "tie or not" is one on the
even kernel. Together they are three probabilities that are symmetric by
construction. It is the posterior mode of a Gaussian process classifier whose
prior is invariant under the exchange (Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, sections 3.4 and 4.2.3; Ginsbourger,
Roustant and Durrande, "On degeneracy and invariances of random fields paths",
2016).

The kernel is expanded in `LANDMARKS` training battles (Nystroem's method,
Williams and Seeger, NIPS 2000), so cost grows with the number of battles and
not with its square. Two hundred correlated columns tell little more than a few
directions, and as many landmarks as battles did no better.

Penalties are the prior's precision, so they do not depend on how many battles
there are; each is chosen by leaving out one training fold after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from featlab.battles.schema import TIE
from featlab.randomness import derive_seed
from featlab.signals.state import State
from featlab.threads import in_threads, one_blas_thread
from models.probabilities import Floats, Probabilities, Rows
from models.stacking.coordinates import BothKernels, Coordinates, Values
from models.stacking.kernel_regression import KernelRegression, chunks
from models.stacking.scaled_columns import ScaledColumns
from models.stacking.table import Matrix, Table, weighted_shares

PENALTIES = (1.6, 0.8, 0.4, 0.2, 0.1)
"""Prior precisions to choose from, strongest first."""

LANDMARKS = 1_000
"""Training battles that the kernel is expanded in, at most."""

_ARRAYS = ("landmarks_odd", "landmarks_even", "margin", "tie")
_TILE = 48


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
        return self.predict_values(self.coordinates.read(frame))

    def predict_values(self, values: Values) -> Probabilities:
        """Return the probabilities of battles whose columns are read already."""
        return joined_probabilities(*self._logits(*self.coordinates.place(values)))

    @cached_property
    def _kernels(self) -> BothKernels:
        return self.coordinates.kernels_to(
            self.landmarks_odd.astype(np.float64), self.landmarks_even.astype(np.float64)
        )

    def _logits(self, odd: Floats, even: Floats) -> tuple[Floats, Floats]:
        margin, tie = np.empty(len(odd)), np.empty(len(odd))
        with one_blas_thread():
            for first in range(0, len(odd), _TILE):
                rows = slice(first, first + _TILE)
                tile = _tile(odd[rows]), _tile(even[rows])
                near_odd, near_even = self._kernels(*tile, rows=len(margin[rows]))
                margin[rows] = (near_odd * self.margin).sum(axis=1)
                tie[rows] = (near_even * self.tie).sum(axis=1) + self.tie_intercept
        return margin, tie


def _tile(rows: Floats) -> Floats:
    """Rows filled up to a tile.

    BLAS sums a row otherwise in a matrix of another shape, and at the edge of
    one that its blocks of 2 to 24 rows do not fill; a prediction must not
    depend on the battles that are predicted with it.
    """
    if len(rows) == _TILE:
        return rows
    return np.vstack([rows, np.zeros((_TILE - len(rows), rows.shape[1]))])


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
    """The member that compares battles by all columns at once: fold models whose mean predicts.

    Raises
    ------
    ValueError
        When the models read different columns.
    """

    models: Sequence[SymmetricKernel]

    def __post_init__(self) -> None:
        if len({model.coordinates.columns for model in self.models}) > 1:
            raise ValueError("the kernel's models read different columns")

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return raw probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        total = np.zeros((len(frame), 3))
        values = self.models[0].coordinates.read(frame)
        # Limited around the threads, since each that ends would lift the limit for all.
        with one_blas_thread():
            for predicted in in_threads(
                lambda model: model.predict_values(values), self.models, quick=len(frame) <= _TILE
            ):
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
                    "families": {name: list(sizes) for name, sizes in coordinates.families.items()},
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
                    Coordinates(
                        odd,
                        even,
                        {name: (first, more) for name, (first, more) in entry["families"].items()},
                        tuple(entry["vector"]),
                        float(entry["vector_scale"]),
                    ),
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


def fit_kernel(
    table: Table, seed: int, held_out: Sequence[int] | None = None
) -> tuple[Kernel, KernelOutOfFold]:
    """Fit one pair a fold on the other folds and the extra battles; predict out of fold.

    Parameters
    ----------
    table : Table
    seed : int
        Root seed.
    held_out : sequence of int, optional
        The folds to leave out and predict, all by default; of other battles
        nothing is predicted.
    """
    folds = held_out or table.fold_numbers
    # One BLAS thread a fold: sums come out the same for any number of threads.
    with one_blas_thread():
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
            hidden[fold] = model.predict(table.extra.frame)[:, TIE]
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
    odd, even = coordinates.place(coordinates.read(frame))
    drawn = np.random.default_rng(seed).permutation(len(frame))[:LANDMARKS]
    landmarks = np.sort(drawn)
    # Rounded as they are stored, so that a bundle predicts what was fitted.
    landmarks_odd, landmarks_even = (part[landmarks].astype(np.float32) for part in (odd, even))
    rounded = landmarks_odd.astype(np.float64), landmarks_even.astype(np.float64)
    # From the rounded points on both sides: a kernel that is not quite symmetric has no root.
    kernels = coordinates.kernels_to(*rounded)
    between = kernels(*rounded)
    margin = KernelRegression(between[0], intercept=False)
    tie = KernelRegression(between[1], intercept=True)
    decisive = shares[:, 0] + shares[:, 1]
    # A fold of extra battles alone comes last, so as not to choose the penalty by itself.
    for fold in dict.fromkeys(sorted(table.folds[rows].tolist()) + sorted(folds.tolist())):
        for own in chunks(np.flatnonzero(folds == fold)):
            near = kernels(odd[own], even[own])
            margin.add(fold, near[0], shares[own, 0], decisive[own], decisive[own] > 0)
            if table.ties:
                tie.add(fold, near[1], shares[own, TIE], shares[own].sum(1), tie_known[own])
    to_a, _, margin_penalty = margin.best_fit(PENALTIES)
    to_tie, base, tie_penalty = (
        tie.best_fit(PENALTIES) if table.ties else (np.zeros(len(landmarks)), -np.inf, PENALTIES[0])
    )
    return SymmetricKernel(
        coordinates,
        landmarks_odd,
        landmarks_even,
        to_a,
        to_tie,
        base,
        (margin_penalty, tie_penalty),
    )
