"""The two ways across the border to pandas, without importing it until a caller wants it out."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl

from featlab.transformers.errors import FrameError

_SURROGATE = re.compile("[\ud800-\udfff]")


def is_pandas(frame: Any) -> bool:
    """Whether it is a pandas frame; nobody can hold one who has not imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def from_pandas(frame: Any, columns: Sequence[str] | None) -> pl.DataFrame:
    """The named columns that a pandas frame has, in polars; ``None`` takes all that hold text.

    Raises
    ------
    FrameError
        When a named column stands there twice or holds something other than text.
    """
    names = [name for name in frame.columns if isinstance(name, str)]
    series = {}
    for name in names if columns is None else [name for name in columns if name in names]:
        if names.count(name) > 1:
            raise FrameError(f"two columns of the frame are called '{name}'")
        cells = _text_cells(name, frame[name])
        if cells is not None:
            series[name] = cells
        elif columns is not None:
            raise FrameError(f"column '{name}' holds {frame[name].dtype}, not text")
        flag = f"{name}__null"
        if cells is not None and flag in names and frame[flag].dtype.kind == "b":
            series[flag] = pl.Series(flag, frame[flag].to_numpy(dtype=bool))
    return pl.DataFrame(series)


def to_pandas(frame: pl.DataFrame, index: Any) -> Any:
    """The frame in pandas, column by column, with the given row index (or a new one).

    Raises
    ------
    FrameError
        When pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise FrameError("output as pandas needs the package pandas, not installed here") from None
    return pandas.DataFrame({column.name: column.to_numpy() for column in frame}, index=index)


def _text_cells(name: str, column: Any) -> pl.Series | None:
    """Strings or lists of strings, missing ones as null; None where there is something else."""
    if column.dtype.kind != "O":
        return None
    cells = column.to_numpy(dtype=object, na_value=None).tolist()
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {str}:
        dtype: pl.DataType = pl.String() if kinds else pl.Null()
    elif kinds <= {list, tuple, np.ndarray}:
        cells = [None if cell is None else list(cell) for cell in cells]
        dtype = pl.List(pl.String)
    else:
        return None
    try:
        return pl.Series(name, cells, dtype)
    except UnicodeEncodeError:
        return pl.Series(name, [_mended(cell) for cell in cells], dtype)
    except TypeError:
        return None


def _mended(cell: Any) -> Any:
    """Lone surrogates, which Python's strings can hold, as U+FFFD."""
    if isinstance(cell, list):
        return [_mended(turn) for turn in cell]
    return _SURROGATE.sub("\ufffd", cell) if isinstance(cell, str) else cell
