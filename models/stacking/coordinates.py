"""Where a battle lies, and how near two battles are once their sides may be exchanged.

Two battles are near if all their columns are, or those of a family: with d the
distance over all columns, d_f that over the columns of one of F families and s
`FAMILY_SHARE`,

    k(x, y) = (1 - s) exp(-d(x, y)^2) + s sum over f of exp(-d_f(x, y)^2) / F

The first half learns what only many columns say together; over hundreds of
columns, though, everything lies far from everything. The other half is a sum of
functions of few columns, as in a generalised additive model, and learns those
from less (Duvenaud, Nickisch and Rasmussen, "Additive Gaussian Processes", NIPS
2011). With x' the battle x with its sides exchanged,

    odd: (k(x, y) - k(x', y)) / 2,  even: (k(x, y) + k(x', y)) / 2

Distances are scaled once and for all, so that nothing is left to search: their
mean square is about 1, over all columns as over a family's. Vectors
(`featlab.columns.Kind.VECTOR`), the coordinates and their sizes, are a family of
their own, and add `VECTOR_SHARE` to the distance over all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from featlab.columns import Column, Kind
from featlab.parity import Parity
from models.probabilities import Floats
from models.stacking.scaled_columns import ScaledColumns, column_values

VECTOR_SHARE = 0.25
"""Mean squared distance between vectors, where that between scalar columns is 1."""


FAMILY_SHARE = 0.5
"""Of the kernel: what families say one by one."""


Values = tuple[Floats, Floats, Floats]
"""What battles hold in the odd columns, the even ones and those of vectors."""


class Block(NamedTuple):
    """Coordinates that make up one distance, and what brings its mean square to 1."""

    odd: slice
    even: slice
    stretch: float


@dataclass(frozen=True)
class Coordinates:
    """Where a battle lies: a point whose odd coordinates change sign with the sides.

    Parameters
    ----------
    odd, even : ScaledColumns
        Scalar columns, those of a family side by side.
    families : mapping of str to (int, int)
        Family -> how many odd and even scalar columns it has, in their order.
    vector : tuple of str
        Odd coordinates of vectors; their sizes are even coordinates.
    vector_scale : float
        What vectors are multiplied by.
    """

    odd: ScaledColumns
    even: ScaledColumns
    families: Mapping[str, tuple[int, int]]
    vector: tuple[str, ...]
    vector_scale: float

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Iterable[Column]) -> Coordinates:
        """Measure the scales on training battles."""
        columns = sorted(columns, key=lambda column: column.family)
        odd, even = (
            [
                column
                for column in columns
                if column.kind is not Kind.VECTOR and column.parity is parity
            ]
            for parity in (Parity.ODD, Parity.EVEN)
        )
        sizes = {
            family: tuple(sum(column.family == family for column in part) for part in (odd, even))
            for family in dict.fromkeys(column.family for column in columns)
        }
        vector = [column.name for column in columns if column.kind is Kind.VECTOR]
        squares = (np.nan_to_num(column_values(frame, vector)) ** 2).sum(axis=1)
        spread = 2.0 * float(squares.mean()) if vector else 0.0
        return cls(
            ScaledColumns.of(frame, [column.name for column in odd], odd=True),
            ScaledColumns.of(frame, [column.name for column in even], odd=False),
            {
                family: (first, second)
                for family, (first, second) in sizes.items()
                if first + second
            },
            tuple(vector),
            (VECTOR_SHARE / spread) ** 0.5 if spread > 0.0 else 0.0,
        )

    @cached_property
    def families_and_vectors(self) -> tuple[Block, ...]:
        """Every family's coordinates, then the vectors'."""
        found = []
        odd = even = 0
        scalars = len(self.odd.names) + len(self.even.names)
        for more_odd, more_even in self.families.values():
            own = slice(odd, odd + more_odd), slice(even, even + more_even)
            found.append(Block(*own, scalars / (more_odd + more_even)))
            odd, even = odd + more_odd, even + more_even
        if self.vector:
            found.append(Block(slice(odd, None), slice(even, None), 1.0 / VECTOR_SHARE))
        return tuple(found)

    @property
    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The columns that are read: odd and even scalar ones, and those of vectors."""
        return self.odd.names, self.even.names, self.vector

    def read(self, frame: pl.DataFrame) -> Values:
        """Return what battles hold: the same for all models over the same columns."""
        vector = np.nan_to_num(column_values(frame, self.vector))
        return self.odd.read(frame), self.even.read(frame), vector

    def place(self, values: Values) -> tuple[Floats, Floats]:
        """Return odd and even coordinates of what was read, float64 of shape (n, coordinates)."""
        odd, even, vector = values
        scalars = len(self.odd.names) + len(self.even.names)
        scale = (2.0 * max(scalars, 1)) ** -0.5
        vector = vector * self.vector_scale
        odd, even = self.odd.scale(odd) * scale, self.even.scale(even) * scale
        return np.hstack([odd, vector]), np.hstack([even, np.abs(vector)])

    def kernels_to(self, landmarks_odd: Floats, landmarks_even: Floats) -> BothKernels:
        """Return what makes the odd and the even kernel to landmarks.

        Parameters
        ----------
        landmarks_odd, landmarks_even : float64 arrays of shape (landmarks, coordinates)
        """

        def to(block: Block) -> _Distance:
            own = landmarks_odd[:, block.odd], landmarks_even[:, block.even]
            return _Distance.to(*own, block)

        return BothKernels(
            to(Block(slice(None), slice(None), 1.0)), [to(b) for b in self.families_and_vectors]
        )


class _Distance(NamedTuple):
    """Minus the squared distance to landmarks, as two products of matrices."""

    block: Block
    along: Floats
    apart: Floats

    @classmethod
    def to(cls, odd: Floats, even: Floats, block: Block) -> _Distance:
        squares = (odd**2).sum(axis=1) + (even**2).sum(axis=1)
        apart = np.vstack([2.0 * even.T, -np.ones(len(odd)), -squares])
        return cls(block, 2.0 * odd.T * block.stretch, apart * block.stretch)

    def add_nearness(self, odd: Floats, even: Floats, given: Floats, exchanged: Floats) -> None:
        """Add exp of minus the squared distance to battles as given, and exchanged.

        To the first battles only, where there are fewer sums than coordinates.
        """
        odd, even = odd[:, self.block.odd], even[:, self.block.even]
        squares = (odd**2).sum(axis=1) + (even**2).sum(axis=1)
        near = (np.column_stack([even, squares, np.ones(len(even))]) @ self.apart)[: len(given)]
        if not odd.shape[1]:
            np.exp(near, out=near)
            given += near
            exchanged += near
            return
        along = (odd @ self.along)[: len(given)]
        nearer = near + along
        given += np.exp(nearer, out=nearer)
        near -= along
        exchanged += np.exp(near, out=near)


class BothKernels(NamedTuple):
    """The odd and the even kernel to some landmarks."""

    whole: _Distance
    parts: Sequence[_Distance]

    def __call__(self, odd: Floats, even: Floats, rows: int | None = None) -> tuple[Floats, Floats]:
        """Return both between battles and the landmarks, (n, landmarks) each.

        Parameters
        ----------
        odd, even : float64 arrays of shape (n, coordinates)
        rows : int, optional
            As many battles, the first, are wanted; all by default.
        """
        shape = (len(odd) if rows is None else rows, self.whole.apart.shape[1])
        given, exchanged = np.zeros(shape), np.zeros(shape)
        for part in self.parts:
            part.add_nearness(odd, even, given, exchanged)
        share = FAMILY_SHARE / (1.0 - FAMILY_SHARE) / max(len(self.parts), 1)
        given *= share
        exchanged *= share
        self.whole.add_nearness(odd, even, given, exchanged)
        half = (1.0 - FAMILY_SHARE) / 2.0
        return (given - exchanged) * half, (given + exchanged) * half
