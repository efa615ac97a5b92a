"""CSV as text: every column a string, blank lines skipped, rows that are cut short refused."""

from __future__ import annotations

import csv
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from featlab.battles.packed import opened
from featlab.errors import BattleError

Form = Literal["plain", "blank lines", "odd"]

_SHOWN = 5
_CHUNK = 1 << 20
_EMPTY_AND_MORE = re.compile(rb'[,\n]""[^",\r\n]')
_BEFORE_A_MARK = np.frombuffer(b',\n"', np.uint8)
_BLANK = pl.all_horizontal(pl.all().is_null())


def scan_csv(path: Path) -> pl.LazyFrame:
    """Return the columns of a CSV, lazily, all of them text.

    The file is looked through once in bounded memory, so that what is wrong
    with its form is said here and not where its rows are used.

    Raises
    ------
    BattleError
        When the file is empty, no UTF-8, has a column name twice, or rows of
        more or fewer fields than its header; lines are named.
    """
    status = path.stat()
    try:
        form = _looked_through(path, status.st_size, status.st_mtime_ns)
    except (OSError, EOFError, zlib.error) as error:
        if getattr(error, "errno", None):
            raise
        raise BattleError(
            f"cannot be unpacked: {error}", source=str(path), remedy="get it whole"
        ) from None
    if form == "odd":
        return _read_by_python(path).lazy()
    frame = _scanned(path)
    return frame.filter(~_BLANK) if form == "blank lines" else frame


def _scanned(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, glob=False, infer_schema=False)


_OTHER_MARKS = {"\t": "tabs", ";": "semicolons", "|": "vertical bars"}


@lru_cache(maxsize=64)
def _looked_through(path: Path, size: int, changed: int) -> Form:
    """Return how a file has to be read; refuse one that is not well formed."""
    line = _header_of(path)
    try:
        header = next(csv.reader(io.StringIO(line, newline="")), [])
    except csv.Error:
        header = []
    parted = [name for mark, name in _OTHER_MARKS.items() if mark in line and len(header) == 1]
    if parted:
        raise BattleError(
            f"parts its columns by {parted[0]}, not by commas",
            source=str(path),
            remedy="write it with commas, or as parquet",
        )
    twice = [name for name in header if header.count(name) > 1]
    if "" in twice:
        raise BattleError("has several columns without a name", source=str(path))
    if twice:
        raise BattleError("stands twice in the header", source=str(path), column=twice[0])
    odd, doubtful, last = _skimmed(path)
    # Lines that end in carriage returns alone: to the engine, all of them are the header.
    odd |= "\r" in line.rstrip("\r\n")
    nulls = _nulls(path)
    if nulls is None or odd:
        _check_bytes(path)
    if nulls is None or odd or doubtful or (nulls and nulls[-1]):
        _check_records(path)
        if last == b",":
            _check_end(path)
    if nulls is None or odd:
        return "odd"
    return "blank lines" if nulls and all(nulls) else "plain"


def _skimmed(path: Path) -> tuple[bool, bool, bytes]:
    """Return whether the engine misreads the file, whether it may, and the last byte.

    It takes text that ends inside quotation marks, a carriage return in front
    of a line's end as part of the field, ``""a""`` for ``a``, and a mark inside
    a field for one that opens it.
    """
    quotes, odd, doubtful, last = 0, False, False, b"\n"
    with opened(path) as stream:
        while part := stream.read(_CHUNK):
            seen = last + part
            odd |= b"\r\r" in seen
            content = np.frombuffer(seen, np.uint8)
            marks = np.flatnonzero(content == ord('"'))
            # Behind an even number of marks, one opens a field and the next one closes it.
            quotes -= last.count(b'"')
            opening = marks[quotes % 2 :]
            opening, closing = opening[: len(opening) // 2 * 2].reshape(-1, 2).T
            doubtful |= not np.isin(content[opening[opening > 0] - 1], _BEFORE_A_MARK).all()
            doubtful = doubtful or any(
                _EMPTY_AND_MORE.match(seen, max(at - 1, 0))
                for at in opening[closing == opening + 1].tolist()
            )
            quotes += len(marks)
            last = part[-4:]
    return quotes % 2 == 1 or odd, doubtful, last[-1:]


def _nulls(path: Path) -> tuple[int, ...] | None:
    """Return each column's number of nulls; ``None`` where the engine cannot read the file."""
    try:
        # Every column, since a column that nobody asks for is not checked for UTF-8.
        counts = _scanned(path).select(pl.all().null_count())
        return counts.collect(engine="streaming").row(0)
    except pl.exceptions.NoDataError:
        raise BattleError("the file is empty", source=str(path)) from None
    except pl.exceptions.PolarsError:
        return None


def _read_by_python(path: Path) -> pl.DataFrame:
    """Read a file that the engine refuses and Python's reader takes, all of it in memory."""
    with _records(path) as records:
        rows = [record for record in records if record]
    names, *cells = rows
    columns = zip(*cells, strict=True) if cells else [()] * len(names)
    frame = pl.DataFrame(
        [pl.Series(name, column, pl.String) for name, column in zip(names, columns, strict=True)]
    )
    return frame.with_columns(pl.all().replace("", None)).filter(~_BLANK)


def _check_end(path: Path) -> None:
    """Refuse a last row that ends behind a comma, without the line feed that ends a whole row.

    Unless no other row has anything in the last column either.
    """
    with _records(path) as records:
        next(records, None)
        begin, number, filled = 1, records.line_num + 1, False
        for record in records:
            begin, number = number, records.line_num + 1
            filled |= bool(record and record[-1])
    if filled:
        raise BattleError(
            f"has rows that are cut short: line {begin} ends behind a comma",
            source=str(path),
            remedy="the file may be cut off; get it whole",
        )


def _header_of(path: Path) -> str:
    """Return the first line, which must be UTF-8; the engine would replace bytes."""
    with opened(path) as stream:
        line = stream.readline(_CHUNK)
        while line and not line.strip():
            line = stream.readline(_CHUNK)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BattleError(
            "the header is not UTF-8", source=str(path), remedy="save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise BattleError(
            "the header is not UTF-8", source=str(path), remedy="save the file as UTF-8"
        )
    return text


def _check_bytes(path: Path) -> None:
    with opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BattleError(
                    f"line {number} is not UTF-8 (byte {error.start} of the line)",
                    source=str(path),
                    remedy="save the file as UTF-8",
                ) from None


def _check_records(path: Path) -> None:
    """Refuse rows of more or fewer fields than the header, and quotes without an end."""
    cut: list[int] = []
    long: list[int] = []
    first = 0
    with _records(path) as records:
        try:
            header: list[str] = next((record for record in records if record), [])
            first = records.line_num + 1
            for record in records:
                if record and len(record) != len(header):
                    (cut if len(record) < len(header) else long).append(first)
                if len(cut) == _SHOWN or len(long) == _SHOWN:
                    break
                first = records.line_num + 1
        except csv.Error:
            raise BattleError(
                f"quotation marks do not match near line {records.line_num}, "
                "or the file is cut off",
                source=str(path),
            ) from None
    if long:
        raise BattleError(
            f"has rows of more fields than the header: {_lines(long)}", source=str(path)
        )
    if cut:
        raise BattleError(
            f"has rows that are cut short: {_lines(cut)} of fewer than {len(header)} fields",
            source=str(path),
            remedy="the file may be cut off; get it whole",
        )


def _lines(numbers: list[int]) -> str:
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


@contextmanager
def _records(path: Path) -> Iterator[csv._reader]:  # type: ignore[name-defined]
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with opened(path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
            yield csv.reader(text, strict=True)
    finally:
        csv.field_size_limit(limit)
