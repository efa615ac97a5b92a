"""Where a battle lies, and how near two battles are once their sides may be exchanged.

Two battles are near if all their columns are, or those of a family: with d the
distance over all columns and d_f that over the columns of one of F families,

    k(x, y) = (exp(-d(x, y)^2) + sum over f of exp(-d_f(x, y)^2) / F) / 2

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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from featlab.columns import Column, Kind
from featlab.parity import Parity
from models.probabilities import Floats
from models.stacking.scaled_columns import ScaledColumns, column_values

VECTOR_SHARE = 0.25
"""Mean squared distance between vectors, where that between scalar columns is 1."""


class Block(NamedTuple):
    """The coordinates of one family, and what brings its mean squared distance to 1."""

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

    def blocks(self) -> Iterator[Block]:
        """Yield every family's coordinates, then the vectors'."""
        odd = even = 0
        scalars = len(self.odd.names) + len(self.even.names)
        for more_odd, more_even in self.families.values():
            yield Block(
                slice(odd, odd + more_odd),
                slice(even, even + more_even),
                scalars / (more_odd + more_even),
            )
            odd, even = odd + more_odd, even + more_even
        if self.vector:
            yield Block(slice(odd, None), slice(even, None), 1.0 / VECTOR_SHARE)

    def place(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """Return odd and even coordinates, float64 of shape (n, coordinates) each."""
        scalars = len(self.odd.names) + len(self.even.names)
        scale = (2.0 * max(scalars, 1)) ** -0.5
        vector = np.nan_to_num(column_values(frame, self.vector)) * self.vector_scale
        odd, even = self.odd.scale(frame) * scale, self.even.scale(frame) * scale
        return np.hstack([odd, vector]), np.hstack([even, np.abs(vector)])

    def kernels(
        self, odd: Floats, even: Floats, landmarks_odd: Floats, landmarks_even: Floats
    ) -> tuple[Floats, Floats]:
        """Return the odd and the even kernel between battles and landmarks, (n, landmarks) each."""
        shape = (len(odd), len(landmarks_odd))
        apart, along, given, exchanged = (np.zeros(shape) for _ in range(4))
        blocks = list(self.blocks())
        for block in blocks:
            own_odd, own_even = odd[:, block.odd], even[:, block.even]
            to_odd, to_even = landmarks_odd[:, block.odd], landmarks_even[:, block.even]
            own_apart = (
                ((own_odd**2).sum(axis=1) + (own_even**2).sum(axis=1))[:, None]
                + ((to_odd**2).sum(axis=1) + (to_even**2).sum(axis=1))
                - 2.0 * (own_even @ to_even.T)
            )
            own_along = 2.0 * (own_odd @ to_odd.T)
            apart += own_apart
            along += own_along
            near, across = _nearness(own_along * block.stretch, own_apart * block.stretch)
            given += near
            exchanged += across
        near, across = _nearness(along, apart)
        given = near + given / max(len(blocks), 1)
        exchanged = across + exchanged / max(len(blocks), 1)
        return (given - exchanged) / 4.0, (given + exchanged) / 4.0


def _nearness(along: Floats, apart: Floats) -> tuple[Floats, Floats]:
    """Return exp of minus the squared distance, to the battle as given and exchanged."""
    given: Floats = np.exp(np.minimum(along - apart, 0.0))
    exchanged: Floats = np.exp(np.minimum(-along - apart, 0.0))
    return given, exchanged
