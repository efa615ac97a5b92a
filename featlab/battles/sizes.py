"""What a parquet file takes in memory, told before it is read; a file of 2 kB can hold 17 GB.

Its pages say what they unpack to, and are walked without unpacking any. A text
that is kept once for many rows weighs nothing in the file and nothing in the
engine, and its whole length in every row that is worked on: where that may
matter, the rows' lengths are added up in one pass.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles.thrift import Compact
from featlab.errors import BattleError
from featlab.memory import available_memory

ROWS = 122_880
"""Rows that are worked on at a time: a row group of the engine's own files."""

COPIES = 3
"""How often the texts of these rows are in memory: as read, as turns, as written."""

_VIEW = 16
_MAGIC = b"PAR1"
_TEXT, _DICTIONARY = 6, 2
_MOST = 8 << 30


@dataclass(frozen=True)
class RowGroup:
    """What a row group takes.

    Parameters
    ----------
    unpacked : int
        Bytes of its pages, and of what the engine keeps for each value.
    repeated : int
        Bytes that its texts may take beyond that, were each value the longest.
    """

    unpacked: int
    repeated: int


def check_size(path: Path) -> None:
    """Refuse a parquet file that takes more memory than there is.

    Raises
    ------
    BattleError
        With what it takes and what there is.
    """
    status = path.stat()
    available = available_memory()
    most = _MOST if available is None else available
    groups = row_groups(path, status.st_size, status.st_mtime_ns)
    unpacked = sum(group.unpacked for group in groups)
    if COPIES * (unpacked + sum(group.repeated for group in groups)) <= most:
        return
    # A thread reads a row group while it works on another, and holds pages beside their values.
    at_once = 2 * pl.thread_pool_size() + 2
    read = 2 * min(unpacked, at_once * max(group.unpacked for group in groups))
    _check(path, read, status.st_size, most)
    _check(path, read + COPIES * _most_text(path), status.st_size, most)


def _check(path: Path, needed: int, size: int, most: int) -> None:
    if needed > most:
        raise BattleError(
            f"unpacks to more than its {size:,} bytes tell: reading it takes {_shown(needed)} of "
            f"memory, and {_shown(most)} are there",
            source=str(path),
            remedy="free or allow more memory, or write it in row groups of fewer battles",
        )


def _shown(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"


@lru_cache(maxsize=64)
def row_groups(path: Path, size: int, changed: int) -> tuple[RowGroup, ...]:
    """Return what each row group takes, by its pages' own headers.

    Raises
    ------
    BattleError
        When the file is no parquet, or ends too early.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return tuple(_row_groups(m))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        raise BattleError(
            "is damaged, or no parquet file", source=str(path), remedy="get the file again"
        ) from None


def _row_groups(data: mmap.mmap) -> Iterator[RowGroup]:
    length = int.from_bytes(data[-8:-4], "little")
    if data[-4:] != _MAGIC or length > len(data) - 8:
        raise ValueError("no footer")
    footer = Compact(data[-8 - length : -8]).struct()
    for group in footer.get(4, []):
        rows = group.get(3, 0)
        unpacked = repeated = 0
        for column in group.get(1, []):
            pages, values, longest = _pages(data, column[3])
            count = max(rows, values, column[3].get(5, 0))
            unpacked += pages + _VIEW * count
            repeated += longest * count if column[3][1] == _TEXT else 0
        yield RowGroup(unpacked, repeated)


def _pages(data: mmap.mmap, column: dict[int, Any]) -> tuple[int, int, int]:
    """Return a column's unpacked bytes, its values, and the bytes of its dictionary."""
    at = min(offset for offset in (column.get(11), column[9]) if offset)
    end = min(at + column[7], len(data))
    unpacked = values = dictionary = 0
    while 0 < at < end:
        reader = Compact(data, at)
        page = reader.struct()
        unpacked += page[2]
        if page[1] == _DICTIONARY:
            dictionary += page[2]
        else:
            values += sum(page[header].get(1, 0) for header in (5, 8) if header in page)
        if page[2] < 0 or page[3] < 0:
            raise ValueError("a page of less than nothing")
        at = reader.at + page[3]
    return unpacked, values, dictionary


def _most_text(path: Path) -> int:
    """Return the most bytes of text that `ROWS` rows on end hold."""
    frame = pl.scan_parquet(path, glob=False)
    kinds = frame.collect_schema().dtypes()
    lengths = [
        length.cast(pl.UInt64)
        for position, kind in enumerate(kinds)
        if (length := _length(pl.nth(position), kind)) is not None
    ]
    if not lengths:
        return 0
    found = (
        frame.select(pl.sum_horizontal(lengths).alias("bytes"))
        .with_row_index("row")
        .group_by(pl.col("row") // ROWS)
        .agg(pl.col("bytes").sum())
        .select(pl.col("bytes").max())
        .collect(engine="streaming")
    )
    return int(found.item() or 0)


def _length(cell: pl.Expr, dtype: PolarsDataType) -> pl.Expr | None:
    """Return the bytes of all texts in a cell, ``None`` where there is no text."""
    if dtype == pl.String:
        return cell.str.len_bytes()
    if dtype == pl.Binary:
        return cell.bin.size()
    if isinstance(dtype, pl.List):
        inner = _length(pl.element(), dtype.inner)
        return None if inner is None else cell.list.eval(inner).list.sum()
    if isinstance(dtype, pl.Struct):
        parts = [_length(cell.struct.field(one.name), one.dtype) for one in dtype.fields]
        known = [part for part in parts if part is not None]
        return pl.sum_horizontal(known) if known else None
    return None
