"""Anything that holds rows, as one lazy frame: files, folders, patterns, frames, dicts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl

from featlab.battles.csv_files import scan_csv
from featlab.battles.json_files import scan_json
from featlab.battles.packed import check_memory
from featlab.battles.pandas_frames import from_pandas, is_pandas
from featlab.battles.sizes import check_size
from featlab.errors import BattleError
from featlab.files import files_matching

Source = Any
"""A path, folder or pattern; a polars or pandas frame; a list of dicts."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "parquet": (".parquet", ".pq"),
    "lines": (".jsonl", ".ndjson", ".json"),
}
PACKED = (".gz", ".zst")


def source_name(source: Source) -> str:
    """How errors name a source: the path, or the kind of frame."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, without its final full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def kind_of(path: Path) -> str | None:
    """Return csv, parquet or lines, by a file's suffixes; ``None`` for others.

    Examples
    --------
    >>> kind_of(Path("votes.jsonl.gz")), kind_of(Path("notes.txt"))
    ('lines', None)
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    last = suffixes[-2 if packed else -1 :][:1]
    for kind, known in KINDS.items():
        if last and last[0] in known and not (packed and kind == "parquet"):
            return kind
    return None


def files_at(source: str | Path) -> list[Path]:
    """Return the files that a path names: itself, those of a folder, those of a pattern.

    Raises
    ------
    BattleError
        When there is none, or one of a kind that cannot be read.
    """
    path = Path(source)
    if path.is_file():
        found = [path]
    elif path.is_dir():
        found = sorted(file for file in path.iterdir() if file.is_file() and kind_of(file))
        if not found:
            raise BattleError(
                "there is no file of battles in this folder",
                source=str(path),
                remedy="CSV, parquet and JSON lines are read",
            )
    else:
        found = files_matching(path)
        if not found:
            raise BattleError("there is no such file", source=str(path))
    for file in found:
        if kind_of(file) is None:
            raise BattleError(
                "is neither .csv, .parquet nor .jsonl", source=str(file), remedy="or .gz, .zst"
            )
    return found


def scan_source(source: Source) -> pl.LazyFrame:
    """Return the raw columns of a source, lazily; nothing in a CSV is guessed to be a number.

    Raises
    ------
    BattleError
        When a file is missing, empty, of an unknown kind, or not well formed.
    """
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return source.lazy()
    if is_pandas(source):
        return from_pandas(source).lazy()
    if isinstance(source, str | Path):
        scans = {file: _scan_file(file) for file in files_at(source)}
        _check_alike(scans, source)
        frames = list(scans.values())
        return frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed")
    if isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
        return _from_rows(source)
    raise BattleError(
        "is nothing that battles are read from",
        source=source_name(source),
        remedy="give a path, a pattern, a polars or pandas frame, or a list of dicts",
    )


def _check_alike(scans: Mapping[Path, pl.LazyFrame], source: str | Path) -> None:
    """Refuse files of which one has a column that another lacks: it would be read as null."""
    columns = {file: frame.collect_schema().names() for file, frame in scans.items()}
    first, *others = columns
    for other in others:
        for one, two in ((first, other), (other, first)):
            if missing := [name for name in columns[one] if name not in columns[two]]:
                raise BattleError(
                    f"{two.name} has no column '{missing[0]}', and {one.name} has one",
                    source=str(source),
                    remedy="name files of the same columns, by a pattern such as 'train*.csv'",
                )


def _from_rows(rows: Sequence[Mapping[str, Any]]) -> pl.LazyFrame:
    try:
        return pl.DataFrame(list(rows), infer_schema_length=None).lazy()
    except (pl.exceptions.PolarsError, TypeError, OverflowError, UnicodeError) as error:
        raise BattleError(
            f"cannot be made a table: {first_line(error)}", source=source_name(rows)
        ) from None


def _scan_file(path: Path) -> pl.LazyFrame:
    kind = _kind_inside(path)
    scan: Callable[[Path], pl.LazyFrame] = {
        "csv": scan_csv,
        "parquet": lambda path: pl.scan_parquet(path, glob=False),
        "lines": scan_json,
    }[kind]
    with engine_explained(path, quiet=True):
        (check_size if kind == "parquet" else check_memory)(path)
        frame = scan(path)
        frame.collect_schema()
    return frame


def _kind_inside(path: Path) -> str:
    """Return the kind of a file by its name, or parquet where that is what it holds."""
    with path.open("rb") as stream:
        return "parquet" if stream.read(4) == b"PAR1" else kind_of(path) or "csv"


@contextmanager
def engine_explained(source: Source, *, quiet: bool = False) -> Iterator[None]:
    """Turn an engine's failure into a `BattleError` that names the source.

    Parameters
    ----------
    source : path, pattern, frame or list of dicts
    quiet : bool
        Put standard error away meanwhile, to which the engine speaks at length
        when a damaged file makes it panic.

    Examples
    --------
    >>> raw = pl.DataFrame({"id": [7]})
    >>> with engine_explained(raw):
    ...     raw.select(pl.lit("x").cast(pl.Int8))
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: DataFrame: cannot be read: ...
    """
    try:
        with _without_stderr() if quiet else nullcontext():
            yield
    except pl.exceptions.PanicException as error:
        raise BattleError(
            f"is damaged: the reader stops with '{first_line(error)}'",
            source=source_name(source),
            remedy="get the file again",
        ) from None
    except pl.exceptions.PolarsError as error:
        raise BattleError(
            f"cannot be read: {first_line(error)}", source=source_name(source)
        ) from None


class _Quiet:
    """Puts standard error away while any thread asks for it: it is the whole process's."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.asking = 0
        self.kept = -1

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.asking += 1
            if self.asking == 1:
                sys.stderr.flush()
                self.kept = os.dup(2)
                with Path(os.devnull).open("wb") as nowhere:
                    os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            with self.lock:
                self.asking -= 1
                if not self.asking:
                    os.dup2(self.kept, 2)
                    os.close(self.kept)


_without_stderr = _Quiet()
