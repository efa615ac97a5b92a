"""Columns of pandas in polars; texts mended where those of Python are no UTF-8."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from featlab.errors import BattleError

_SURROGATE = re.compile("[\ud800-\udfff]")


def is_pandas(frame: Any) -> bool:
    """Whether it is a pandas frame; nobody can hold one who has not imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def from_pandas(frame: Any) -> pl.DataFrame:
    """Return a pandas frame in polars, column by column; an index comes along if it has a name.

    Raises
    ------
    BattleError
        When two columns have one name, or a column holds what polars cannot.
    """
    if frame.index.name is not None and frame.index.name not in frame.columns:
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BattleError("stands there twice", source="DataFrame", column=twice)
    columns = []
    for position, name in enumerate(names):
        column = series_of_cells(name, frame.iloc[:, position])
        if column is None:
            raise BattleError(
                f"holds {frame.dtypes.iloc[position]} that cannot be read",
                source="DataFrame",
                column=name,
            )
        columns.append(column)
    return pl.DataFrame(dict(zip(names, columns, strict=True)))


def series_of_cells(name: str, column: Any) -> pl.Series | None:
    """Return a pandas Series in polars, missing cells as null; ``None`` for mixed cells."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        numbers = column.to_numpy()
        if numbers.dtype.kind != "f" or not np.isnan(numbers).all():
            return pl.Series(name, numbers)
    return series_of(name, column.tolist())


def series_of(name: str, given: list[Any]) -> pl.Series | None:
    """Return cells in polars, missing ones as null; ``None`` where they mix types.

    Cells that are all missing have the type null, whatever pandas calls it.
    """
    cells = [None if _is_missing(cell) else _plain(cell) for cell in given]
    if all(cell is None for cell in cells):
        return pl.Series(name, cells, pl.Null)
    try:
        column = pl.Series(name, cells, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return None
    return None if column.dtype == pl.Object else column


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, float | np.floating):
        return bool(np.isnan(cell))
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def _plain(cell: Any) -> Any:
    """Return a cell of Python's own types, lone surrogates as U+FFFD."""
    if isinstance(cell, str):
        # A string subclass, such as numpy's, is made a string.
        text = str.__str__(cell)
        return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
    if isinstance(cell, np.ndarray | list | tuple):
        return [_plain(part) for part in cell]
    if isinstance(cell, Mapping):
        return {str(name): _plain(value) for name, value in cell.items()}
    return cell.item() if isinstance(cell, np.generic) else cell
