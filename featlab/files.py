"""Files written whole or not at all, and content fingerprints."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, renamed onto it when the block succeeds.

    A reader sees the old file or the new one, never half of it; a failed block
    leaves the old one as it was.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as path:
    ...     _ = path.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    path = Path(name)
    try:
        yield path
        path.chmod(0o644)
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the value of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


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
