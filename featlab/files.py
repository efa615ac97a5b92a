"""Files written whole or not at all, and content fingerprints."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlab.errors import FileError

try:
    import fcntl
except ImportError:
    # Without these locks (Windows), what killed writers leave is not swept.
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import polars as pl


PART = ".part"
"""Ending of a file that is being written; see `atomic_path`."""

_FORMULA = r"^[=+\-@\t\r]"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, renamed onto it when the block succeeds.

    A reader sees the old file or the new one, never half of it; a failed block
    leaves the old one as it was, and what a killed one left is swept by the
    next that writes into the folder. The file gets the permissions that any
    new file gets.

    Raises
    ------
    OSError
        That names `target` where something cannot be written.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        # A pipe or a device, which nothing may take the place of.
        yield target
        return
    if target.is_symlink():
        target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    path = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}{PART}")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with _held(path):
            yield path
            path.replace(target)
    except OSError as error:
        if error.filename in (None, str(path)):
            error.filename = str(target)
        raise
    except Exception as error:
        # An engine says in its own words that there is no space left, which is the disk's fault.
        if f"(os error {errno.ENOSPC})" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        raise
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make a file and lock it: whoever holds the lock is alive."""
    while True:
        with path.open("xb") as stream:
            # On a file system without locks, nothing is swept either.
            with suppress(OSError, AttributeError):
                fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                own = os.path.samestat(os.fstat(stream.fileno()), path.stat())
            except FileNotFoundError:
                own = False
            if own:
                yield
                return
            # A sweep came between making and locking: the file is made again.


def sweep(folder: Path, *, below: bool = False) -> None:
    """Remove what killed writers left half written in a folder, or anywhere below it."""
    for path in (folder.rglob if below else folder.glob)(f".*{PART}"):
        with suppress(OSError, AttributeError), path.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def check_output(target: Path, *inputs: Path) -> None:
    """See that a file can be written, before the work that makes it begins.

    Raises
    ------
    FileError
        When it is a folder or an input, or its folder cannot be written.
    """
    if target.is_dir():
        raise FileError(f"{target} is a folder; name a file to write")
    if any(target.exists() and path.exists() and target.samefile(path) for path in inputs):
        raise FileError(f"{target} would be overwritten, and is read; name another file to write")
    home = next(folder for folder in target.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise FileError(f"{target} cannot be written: {home}: {error.strerror}") from None


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose texts a spreadsheet shows and never computes.

    Examples
    --------
    >>> import polars as pl
    >>> without_formulas(pl.DataFrame({"model": ["=1+1", "a-1"]}))["model"].to_list()
    ["'=1+1", 'a-1']
    """
    import polars as pl

    text = pl.col(pl.String)
    shown = pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)
    return frame.with_columns(shown.name.keep())


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises
    ------
    FileError
        When it is torn, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: is torn or damaged, no JSON: {error}") from None


def file_fingerprint(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal, read in bounded memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def value_fingerprint(value: Any) -> str:
    """sha256 of a JSON-serialisable value, independent of the order of its keys.

    Examples
    --------
    >>> value_fingerprint({"a": 1, "b": 2}) == value_fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprints(given: Any) -> dict[str, str]:
    """Return path -> `file_fingerprint` of every file that a structure of paths names.

    Parameters
    ----------
    given : Path, or sequence, mapping or dataclass of them
        A folder counts by the files in it, a pattern by those that fit, and
        ``None`` is no file.
    """
    return {str(file): file_fingerprint(file) for file in files_of(given)}


def files_matching(pattern: Path) -> list[Path]:
    """Return the files whose paths fit a pattern, sorted.

    Examples
    --------
    >>> [path.name for path in files_matching(Path(__file__).parent / "fil?s.py")]
    ['files.py']
    """
    root = Path(pattern.anchor)
    inside = str(pattern.relative_to(root)) if pattern.anchor else str(pattern)
    return sorted(file for file in root.glob(inside) if file.is_file())


def files_of(given: Any) -> list[Path]:
    """Return every file that a structure of paths names; see `fingerprints`.

    Examples
    --------
    >>> files_of({"one": Path("a"), "more": [Path("b"), None]})
    [PosixPath('a'), PosixPath('b')]
    """
    if isinstance(given, Path):
        if given.is_dir():
            return [file for file in sorted(given.rglob("*")) if file.is_file()]
        return [given] if given.exists() else files_matching(given) or [given]
    if isinstance(given, Mapping):
        given = list(given.values())
    elif is_dataclass(given):
        given = [getattr(given, field.name) for field in fields(given)]
    return [file for part in given or () for file in files_of(part)]
