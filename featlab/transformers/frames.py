"""Frames at the boundary: polars or pandas in, the same kind or the chosen one out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles import TextFormat, explained_texts, holds_text
from featlab.transformers.errors import FrameError
from featlab.transformers.pandas_frames import from_pandas, is_pandas, to_pandas

CONTAINERS = ("default", "pandas", "polars")
"""What `set_output` accepts; the default is the kind of frame that came in."""

_CATEGORIES = (pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Incoming:
    """A frame as a transformer was given it, with its text columns as a lazy polars frame."""

    given: Any
    columns: tuple[str, ...]
    texts: pl.LazyFrame

    @property
    def kind(self) -> str:
        """How errors name the frame."""
        package = type(self.given).__module__.partition(".")[0]
        return f"{package} {type(self.given).__name__}"


def incoming(frame: Any, columns: Sequence[str] | None) -> Incoming:
    """The named text columns of a frame; ``None`` takes every column that holds text.

    Raises
    ------
    FrameError
        When it is no frame, lacks a column, or has one that holds no text.
    """
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
    if columns is None:
        columns = [name for name, dtype in dtypes.items() if dtype != pl.Null and _is_text(dtype)]
        if not columns:
            raise FrameError(f"no column of the frame holds text; it has {_names(frame)}")
    missing = [name for name in columns if name not in dtypes]
    if missing:
        raise FrameError(
            f"the frame has no column {', '.join(map(repr, missing))}; it has {_names(frame)}"
        )
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
    """The computed columns in the chosen container; a lazy frame stays lazy unless pandas is.

    Raises
    ------
    BattleError
        When a text that should be a JSON list is none.
    FrameError
        When pandas is asked for and not installed.
    """
    from_lazy, was_pandas = isinstance(frame.given, pl.LazyFrame), is_pandas(frame.given)
    as_pandas = container == "pandas" or (container == "default" and was_pandas)
    if from_lazy and not as_pandas:
        return query
    with explained_texts(frame.texts, text_format, source=frame.kind):
        computed = query.collect(engine="streaming")
    if not as_pandas:
        return computed
    return to_pandas(computed, frame.given.index if was_pandas else None)


def _is_text(dtype: PolarsDataType) -> bool:
    return holds_text(dtype) or dtype in _CATEGORIES


def _names(frame: Any) -> str:
    names = frame.columns if is_pandas(frame) else frame.collect_schema().names()
    return ", ".join(map(str, names)) or "none"
