"""Columns brought to one scale, so that distances between battles mean something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from models.probabilities import Floats

LARGEST = 4.0
"""Scaled columns are clipped here: one battle of huge length must not move every other."""


@dataclass(frozen=True)
class ScaledColumns:
    """Symmetric logarithm, centre, spread, clipped.

    Odd columns have centre 0, so that scaling keeps them odd. What is missing
    is taken to lie at the centre.

    Parameters
    ----------
    names : tuple of str
    centre, spread : float64 arrays of shape (columns,)

    Examples
    --------
    >>> frame = pl.DataFrame({"x__difference": [3.0, -3.0, None]})
    >>> columns = ScaledColumns.of(frame, ["x__difference"], odd=True)
    >>> columns.scale(columns.read(frame)).ravel().round(2).tolist()
    [1.22, -1.22, 0.0]
    """

    names: tuple[str, ...]
    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, frame: pl.DataFrame, names: Sequence[str], *, odd: bool) -> ScaledColumns:
        """Measure centre and spread on training battles."""
        values = _symlog(column_values(frame, names))
        present = np.isfinite(values)
        count = np.maximum(present.sum(0), 1)
        filled = np.where(present, values, 0.0)
        centre = np.zeros(values.shape[1]) if odd else filled.sum(0) / count
        # Centred by what is missing too, so that a rare column is not blown up.
        deviation = np.where(present, values - centre, 0.0)
        spread = np.sqrt((deviation**2).mean(0))
        return cls(tuple(names), centre, np.where(spread > 0, spread, 1.0))

    def read(self, frame: pl.DataFrame) -> Floats:
        """Return the symmetric logarithm of the columns, float64 of shape (n, columns)."""
        return _symlog(column_values(frame, self.names))

    def scale(self, read: Floats) -> Floats:
        """Return what `read` gives, centred, spread alike and clipped."""
        values = (read - self.centre) / self.spread
        clipped: Floats = np.clip(np.nan_to_num(values, nan=0.0), -LARGEST, LARGEST)
        return clipped


def _symlog(values: Floats) -> Floats:
    logged: Floats = np.sign(values) * np.log1p(np.abs(values))
    return logged


def column_values(frame: pl.DataFrame, names: Sequence[str]) -> Floats:
    """Return some columns as float64 of shape (n, columns), null as NaN."""
    # Indexing plans no query, which would take longer than everything else for a single battle.
    values = frame[list(names)].to_numpy().astype(np.float64, copy=False)
    # A frame without columns would forget how many rows it has.
    return values.reshape(len(frame), len(names))
