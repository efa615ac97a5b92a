"""The border for frames: polars or pandas in, the same kind or the chosen one out.

pandas is imported only when a caller wants it out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
from polars._typing import PolarsDataType

from featlab.battles import TextFormat, explained_texts, holds_text
from featlab.errors import FeatlabError

CONTAINERS = ("default", "pandas", "polars")
"""What `set_output` accepts; the default is the kind of frame that came in."""

_CATEGORIES = (pl.Categorical, pl.Enum)
_SURROGATE = re.compile("[\ud800-\udfff]")


class FrameError(FeatlabError, ValueError):
    """What a transformer was given is no frame, lacks a column, or holds no text in it."""


@dataclass(frozen=True)
class Incoming:
    """A frame as a transformer was given it, with its text columns as a lazy polars frame."""

    given: Any
    columns: tuple[str, ...]
    texts: pl.LazyFrame


def incoming(frame: Any, columns: Sequence[str] | None) -> Incoming:
    """Take the named text columns of a frame; ``None`` takes every column that holds text."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        lazy = frame.lazy()
    elif is_pandas(frame):
        lazy = from_pandas(frame, columns).lazy()
    else:
        raise FrameError(
            f"expected a polars or pandas frame, got {type(frame).__name__}; "
            "texts become one by polars.DataFrame({'text': texts})"
        )
    dtypes = lazy.collect_schema()
    there = frame.columns if is_pandas(frame) else dtypes.names()
    names = ", ".join(map(str, there)) or "none"
    if columns is None:
        columns = [name for name, dtype in dtypes.items() if dtype != pl.Null and _is_text(dtype)]
        if not columns:
            raise FrameError(f"no column of the frame holds text; it has {names}")
    if missing := [name for name in columns if name not in dtypes]:
        raise FrameError(f"the frame has no column {', '.join(map(repr, missing))}; it has {names}")
    for name in columns:
        if not _is_text(dtypes[name]):
            raise FrameError(f"column '{name}' holds {dtypes[name]}, not text")
    flags = [f"{name}__null" for name in columns]
    kept = dict.fromkeys([*columns, *(flag for flag in flags if flag in dtypes)])
    texts = lazy.select(
        pl.col(name).cast(pl.String) if dtypes[name] in _CATEGORIES else pl.col(name)
        for name in kept
    )
    return Incoming(frame, tuple(columns), texts)


def outgoing(query: pl.LazyFrame, frame: Incoming, container: str, text_format: TextFormat) -> Any:
    """Give the computed columns in the chosen container; a lazy frame stays lazy but for pandas."""
    given = frame.given
    as_pandas = container == "pandas" or (container == "default" and is_pandas(given))
    if isinstance(given, pl.LazyFrame) and not as_pandas:
        return query
    kind = f"{type(given).__module__.partition('.')[0]} {type(given).__name__}"
    with explained_texts(frame.texts, text_format, source=kind):
        computed = query.collect(engine="streaming")
    if not as_pandas:
        return computed
    return to_pandas(computed, given.index if is_pandas(given) else None)


def is_pandas(frame: Any) -> bool:
    """Tell whether it is a pandas frame; nobody can hold one who has not imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def from_pandas(frame: Any, columns: Sequence[str] | None) -> pl.DataFrame:
    """Take the named columns that a pandas frame has; ``None`` takes all that hold text."""
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
    """Give the frame in pandas, column by column, with the given row index (or a new one)."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise FrameError("output as pandas needs the package pandas, not installed here") from None
    return pandas.DataFrame({column.name: column.to_numpy() for column in frame}, index=index)


def _is_text(dtype: PolarsDataType) -> bool:
    return holds_text(dtype) or dtype in _CATEGORIES


def _text_cells(name: str, column: Any) -> pl.Series | None:
    """Take strings or lists of strings, missing ones as null; None for anything else."""
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
    """Replace lone surrogates, which Python's strings can hold, by U+FFFD."""
    if isinstance(cell, list):
        return [_mended(turn) for turn in cell]
    return _SURROGATE.sub("\ufffd", cell) if isinstance(cell, str) else cell
