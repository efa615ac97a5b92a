"""The border for frames: polars, pandas or plain texts in, the same kind or the chosen one out.

Inside, text columns are called ``t0``, ``t1``, ...: what a caller calls them may
be anything. pandas is imported only when a caller wants it out.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl
from polars._typing import PolarsDataType

from featlab.battles import holds_text
from featlab.battles.cell_errors import CellError, Origin
from featlab.battles.pandas_frames import is_pandas, series_of, series_of_cells
from featlab.errors import FeatureError

CONTAINERS = ("default", "pandas", "polars")
"""What `set_output` accepts; the default is the kind of frame that came in."""

ONLY = "text"
"""What texts are called that come without a name: lists, arrays, nameless series."""

_CATEGORIES = (pl.Categorical, pl.Enum)
_ROW = "::row"


class FrameError(FeatureError, TypeError):
    """What a transformer was given is no frame, lacks a column, or holds no text in it."""


@dataclass(frozen=True)
class Incoming:
    """A frame as a transformer was given it, with its text columns as a lazy polars frame.

    Parameters
    ----------
    given : object
    columns : tuple of str
        The text columns, as the caller calls them.
    texts : LazyFrame
        The same columns under the names of `inside`, String or List(String),
        and the flags ``{name}__null`` that came along.
    """

    given: Any
    columns: tuple[str, ...]
    texts: pl.LazyFrame

    @property
    def inside(self) -> tuple[str, ...]:
        """What the text columns are called in `texts`."""
        return inside_names(len(self.columns))

    @property
    def from_pandas(self) -> bool:
        """Whether it came in pandas, with an index to keep."""
        return is_pandas(self.given) or _is_pandas_series(self.given)

    def leaves_in_pandas(self, container: str) -> bool:
        """Whether what is computed goes out in pandas, given what was chosen."""
        return container == "pandas" or (container == "default" and self.from_pandas)

    @property
    def numbered(self) -> pl.LazyFrame:
        """The texts with the number of each row, by which errors name it."""
        return self.texts.with_row_index(_ROW)

    @property
    def origin(self) -> Origin:
        """How errors name the cells of `numbered`."""
        kind = type(self.given)
        source = f"{kind.__module__.partition('.')[0]} {kind.__name__}"
        return Origin(source, dict(zip(self.inside, self.columns, strict=True)), _ROW)


def inside_names(count: int) -> tuple[str, ...]:
    """Return what so many text columns are called inside."""
    return tuple(f"t{number}" for number in range(count))


def incoming(frame: Any, columns: Sequence[Hashable] | None) -> Incoming:
    """Take the named text columns of a frame; ``None`` takes every column that holds text.

    Parameters
    ----------
    frame : polars or pandas frame, or texts
        Texts are a list, an array of one dimension or a Series. They are the
        column that is asked for, whatever its name.
    columns : sequence of names, optional
        Names that are no strings, as pandas has them, are taken as they are
        written.

    Raises
    ------
    FrameError
        When it is none of that, lacks a column, has one twice, or one that
        holds something other than text.
    """
    wanted = None if columns is None else [str(name) for name in columns]
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return _from_polars(frame, frame.lazy(), wanted)
    if is_pandas(frame):
        return _from_pandas(frame, wanted)
    column = _texts_alone(frame)
    if wanted is not None and len(wanted) != 1:
        raise FrameError(
            f"expected a frame with the columns {', '.join(wanted)}, got one column of texts"
        )
    (name,) = wanted or [column.name or ONLY]
    return _from_polars(frame, pl.LazyFrame({name: column}), [name])


def outgoing(query: pl.LazyFrame | pl.DataFrame, frame: Incoming, container: str) -> Any:
    """Give the computed columns in the chosen container; lazy stays lazy unless it is pandas."""
    given = frame.given
    if isinstance(given, pl.LazyFrame) and not frame.leaves_in_pandas(container):
        return query
    try:
        computed = query.lazy().collect(engine="streaming")
    except CellError:
        # Streaming fails on whichever cell comes first; here they are in order.
        computed = query.lazy().collect(engine="in-memory")
    if not frame.leaves_in_pandas(container):
        return computed
    return to_pandas(computed, given.index if frame.from_pandas else None)


def to_pandas(frame: pl.DataFrame, index: Any) -> Any:
    """Give the frame in pandas, column by column, with the given row index (or a new one)."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise FrameError("output as pandas needs the package pandas, not installed here") from None
    columns = {column.name: column.to_numpy() for column in frame}
    return pandas.DataFrame(columns, index=index, copy=False)


def _from_polars(given: Any, lazy: pl.LazyFrame, wanted: list[str] | None) -> Incoming:
    dtypes = lazy.collect_schema()
    order = dtypes.names()
    if wanted is None:
        wanted = [name for name, dtype in dtypes.items() if dtype != pl.Null and _is_text(dtype)]
        if not wanted:
            raise FrameError(f"no column of the frame holds text; it has {_listed(order)}")
    _check_there(wanted, order)
    for name in wanted:
        if not _is_text(dtypes[name]):
            raise FrameError(f"column '{name}' holds {dtypes[name]}, not text")
    taken = []
    for inside, name in zip(inside_names(len(wanted)), wanted, strict=True):
        # By position: a name may look like a pattern.
        nested = isinstance(dtypes[name], pl.List)
        text = pl.nth(order.index(name)).cast(pl.List(pl.String) if nested else pl.String)
        taken.append(text.alias(inside))
        if nested and dtypes.get(f"{name}__null") == pl.Boolean:
            taken.append(pl.nth(order.index(f"{name}__null")).alias(f"{inside}__null"))
    return Incoming(given, tuple(wanted), lazy.select(taken))


def _from_pandas(frame: Any, wanted: list[str] | None) -> Incoming:
    labels = [str(label) for label in frame.columns]
    _check_there(wanted or [], labels)
    read: dict[str, pl.Series] = {}
    for position, name in enumerate(labels):
        if wanted is not None and not {name, name.removesuffix("__null")} & set(wanted):
            continue
        column = series_of_cells(name, frame.iloc[:, position])
        if column is None and wanted is not None and name in wanted:
            raise FrameError(f"column '{name}' holds {_kinds(frame.iloc[:, position])}, not text")
        if column is not None and (wanted is not None or _is_text(column.dtype)):
            if name in read:
                raise FrameError(f"two columns of the frame are called '{name}'")
            read[name] = column
    if not read:
        raise FrameError(f"no column of the frame holds text; it has {_listed(labels)}")
    return _from_polars(frame, pl.LazyFrame(read), wanted)


def _texts_alone(given: Any) -> pl.Series:
    """Texts of one dimension as a Series; a str is one text, and no list of letters."""
    if isinstance(given, pl.Series):
        return given
    if _is_pandas_series(given):
        column = series_of_cells("" if given.name is None else str(given.name), given)
    elif isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 1):
        column = series_of("", list(given))
    else:
        raise FrameError(
            "expected a polars or pandas frame, or texts as a list, an array of one dimension or "
            f"a Series, got {type(given).__name__}"
        )
    if column is None:
        raise FrameError(f"the texts hold {_kinds(given)}, not text")
    return column


def _check_there(wanted: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in there]:
        raise FrameError(
            f"the frame has no column {', '.join(map(repr, missing))}; it has {_listed(there)}"
        )


def _is_pandas_series(given: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.Series)


def _is_text(dtype: PolarsDataType) -> bool:
    return holds_text(dtype) or dtype in _CATEGORIES


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _kinds(cells: Any) -> str:
    return " and ".join(sorted({type(cell).__name__ for cell in cells})[:3])
