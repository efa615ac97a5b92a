"""Battles as the ensemble's halves see them: columns, outcomes and folds.

Besides the battles of a run, which are predicted out of fold and scored, there
may be extra ones that only ever train. A source that holds no ties has hidden
them: each of its decisive battles with a chance p of a tie stands for
p / (1 - p) ties that were left out (the expectation step for truncated counts,
Dempster, Laird and Rubin, 1977, section 4.2). The trees are shown those ties,
weighted so; a model of ties that learned from other battles says what p is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.schema import TIE
from featlab.parity import Parity, swap
from models.evaluation.metrics import Labels
from models.stacking.vector_columns import scalar_columns

Matrix = NDArray[np.float32]
Floats = NDArray[np.float64]

_LIKELIEST_TIE = 0.9


@dataclass(frozen=True)
class ExtraRows:
    """Further battles that only ever train.

    Parameters
    ----------
    frame : DataFrame
        The same columns as those of the battles they join.
    shares : float64 array of shape (n, 3)
        The outcome, or a teacher's probabilities of it; rows sum to 1.
    weight : float64 array of shape (n,)
        How many battles each counts for.
    tie_known : bool array of shape (n,)
        Where false, the source holds no ties, so that it tells who wins only.
    folds : int array of shape (n,)
        The fold whose signals have not learned from the battle.
    """

    frame: pl.DataFrame = field(repr=False)
    shares: Floats = field(repr=False)
    weight: Floats = field(repr=False)
    tie_known: NDArray[np.bool_] = field(repr=False)
    folds: NDArray[np.int64] = field(repr=False)

    @property
    def weighted_shares(self) -> Floats:
        """The outcomes, each counting for its battle's weight: float64 of shape (n, 3)."""
        weighted: Floats = self.shares * self.weight[:, None]
        return weighted

    def outcomes(self, hidden_ties: Floats) -> tuple[NDArray[np.int64], Labels, Floats]:
        """Row, label and weight of every outcome that a battle stands for.

        Parameters
        ----------
        hidden_ties : float64 array of shape (n,)
            The chance of a tie, read where the source holds none.

        Examples
        --------
        >>> rows = ExtraRows(
        ...     pl.DataFrame({"x": [1.0]}),
        ...     np.array([[1.0, 0.0, 0.0]]),
        ...     np.ones(1),
        ...     np.array([False]),
        ...     np.zeros(1, np.int64),
        ... )
        >>> [part.tolist() for part in rows.outcomes(np.array([0.2]))]
        [[0, 0], [0, 2], [1.0, 0.25]]
        """
        chance = np.where(self.tie_known, 0.0, np.minimum(hidden_ties, _LIKELIEST_TIE))
        counted = self.weighted_shares
        counted[:, TIE] += self.weight * chance / (1.0 - chance)
        rows, labels = np.nonzero(counted > 0.0)
        return rows, labels.astype(np.int64), counted[rows, labels]


@dataclass(frozen=True)
class StackingData:
    """The battles of a run, and extra ones for the training side.

    Parameters
    ----------
    frame : DataFrame
        One row a battle, numeric columns only.
    parity : mapping of str to Parity
        The parity of every column of `frame`.
    labels : array of int, shape (n,)
    folds : array of int, shape (n,)
        0 to K - 1.
    extra : ExtraRows, optional
        Never held out and never scored.
    """

    frame: pl.DataFrame
    parity: Mapping[str, Parity]
    labels: Labels
    folds: NDArray[np.int64]
    extra: ExtraRows | None = None

    def select(self, names: Sequence[str]) -> StackingData:
        """The same battles with some of their columns."""
        extra = self.extra and replace(self.extra, frame=self.extra.frame.select(names))
        parity = {name: self.parity[name] for name in names}
        return replace(self, frame=self.frame.select(names), parity=parity, extra=extra)

    @cached_property
    def columns(self) -> list[str]:
        """The columns that trees split on: no coordinates of vectors."""
        return scalar_columns(self.frame.columns)

    @cached_property
    def both_orders(self) -> tuple[Matrix, Matrix]:
        """Those columns as given and exchanged, each float32 of shape (n, columns)."""
        return matrices(self.frame.select(self.columns), self.parity)

    @cached_property
    def extra_in_both_orders(self) -> tuple[Matrix, Matrix]:
        """The same of the extra battles."""
        frame = self.frame.clear() if self.extra is None else self.extra.frame
        return matrices(frame.select(self.columns), self.parity)

    @property
    def fold_numbers(self) -> list[int]:
        """The folds there are, in order."""
        return [int(fold) for fold in np.unique(self.folds)]

    def training_rows(self, held_out: int) -> NDArray[np.int64]:
        """Row numbers outside a fold."""
        return np.flatnonzero(self.folds != held_out)

    def stopping_split(self, held_out: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training rows to fit on and, the fold after the held-out one, to stop on."""
        numbers = self.fold_numbers
        stopping = numbers[(numbers.index(held_out) + 1) % len(numbers)]
        fitting = np.flatnonzero((self.folds != held_out) & (self.folds != stopping))
        return fitting, np.flatnonzero(self.folds == stopping)


def exchanged_labels(labels: Labels) -> Labels:
    """The labels of the exchanged battles.

    Examples
    --------
    >>> exchanged_labels(np.array([0, 1, 2])).tolist()
    [1, 0, 2]
    """
    return np.where(labels < TIE, 1 - labels, labels)


def matrices(frame: pl.DataFrame, parity: Mapping[str, Parity]) -> tuple[Matrix, Matrix]:
    """A frame and its swapped image as float32 matrices."""
    given = frame.cast(pl.Float32)
    return given.to_numpy(), swap(given, parity).to_numpy()
