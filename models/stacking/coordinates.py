"""Where a battle lies, and how near two battles are once their sides may be exchanged.

The distance between battles adds up two blocks, scaled once and for all, so that
nothing is left to search: scalar columns, whose mean squared distance is about
1, and vectors (`featlab.columns.Kind.VECTOR`), the coordinates and their sizes,
at `VECTOR_SHARE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from featlab.columns import Column, Kind
from featlab.parity import Parity
from models.probabilities import Floats
from models.stacking.scaled_columns import ScaledColumns, column_values

VECTOR_SHARE = 0.25
"""Mean squared distance between vectors, where that between scalar columns is 1."""


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


def both_kernels(
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
