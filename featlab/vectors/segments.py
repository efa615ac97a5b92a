"""Content keys, and segments: files of keys and vectors, each named by its own checksum.

The contract of a segment file, version 1:

- It is a NumPy ``.npy`` file of one structured array of shape ``(rows,)``,
  little-endian, with the fields ``key`` (16 raw bytes, `content_keys`) and
  ``vector`` (``dimension`` float16 numbers). ``numpy.load(path,
  mmap_mode="r")["vector"]`` reads it with nothing else installed.
- Its name is the blake2b-128 of all its bytes in hexadecimal, and ``.npy``.
  The name is the checksum: a file cut short or changed no longer has the
  content its name promises, and is no segment.
- It is written beside its place and renamed onto it, and never changed after.
  So there is no moment at which a reader, or a process that starts after a
  kill, sees half a segment; and two processes that write at once can only
  write two segments, or twice the same one.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from featlab.errors import StoreError
from featlab.files import atomic_path

SUFFIX = ".npy"
KEY_BYTES = 16
KEY_DTYPE = np.dtype(f"S{KEY_BYTES}")
_CHECKED_AT_ONCE = 1 << 16
MAPPED_AT_ONCE = 256
"""Segments mapped at a time: each holds an open file, and a process may have only so many."""

Keys: TypeAlias = npt.NDArray[np.bytes_]
"""Array of dtype S16. NumPy pads this dtype with zero bytes, so equal means equal bit for bit."""

Halves: TypeAlias = npt.NDArray[np.float16]
Vectors: TypeAlias = npt.NDArray[np.float32]


class TornSegmentError(StoreError):
    """A segment's bytes are not what its name promises, or are no segment at all."""


def content_keys(kind: str, contents: Iterable[bytes]) -> Keys:
    """Return a key for each content: 128 bits that stand for it in any row, column or file.

    Parameters
    ----------
    kind : str
        What the contents are, at most 16 bytes; the same bytes of another kind
        have another key, since they are read otherwise.
    contents : iterable of bytes

    Examples
    --------
    >>> keys = content_keys("text", [b"x", b"y", b"x"])
    >>> (keys == keys[0]).tolist(), (keys == content_keys("pair", [b"x", b"y", b"x"])).any()
    ([True, False, True], np.False_)
    """
    blake2b, person = hashlib.blake2b, kind.encode()
    digests = (blake2b(content, digest_size=16, person=person).digest() for content in contents)
    return np.frombuffer(b"".join(digests), KEY_DTYPE)


def rounded(vectors: npt.NDArray[np.floating[Any]]) -> Halves:
    """Round vectors to what a segment holds; a StoreError where that is not finite."""
    with np.errstate(over="ignore"):
        halves = vectors.astype("<f2")
    if not np.isfinite(halves).all():
        raise StoreError(
            "a vector is not finite in float16, whose largest number is 65,504; look for an "
            "encoder that overflows (float16 on a model made for bfloat16)"
        )
    return halves


def write_segment(folder: Path, keys: Keys, vectors: Halves) -> Path:
    """Write one segment, and return its path; it then outlives a loss of power."""
    records = np.empty(len(keys), _record_dtype(vectors.shape[1]))
    records["key"] = keys.view(f"V{KEY_BYTES}")
    records["vector"] = vectors
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    content = buffer.getbuffer()
    target = folder / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}{SUFFIX}"
    with atomic_path(target) as path, path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return target


def read_keys(path: Path) -> tuple[Keys, int]:
    """Check a segment against its name; return its keys and the dimension of its vectors."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise TornSegmentError(f"{path}: is a link or no regular file")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    if digest != path.stem:
        raise TornSegmentError(f"{path}: its content does not match the checksum in its name")
    try:
        records = mapped_records(path)
        dimension = records.dtype["vector"].shape[0]
        if records.ndim != 1 or not dimension or records.dtype != _record_dtype(dimension):
            raise ValueError(f"it holds {records.dtype}")
        for start in range(0, len(records), _CHECKED_AT_ONCE):
            if not np.isfinite(records["vector"][start : start + _CHECKED_AT_ONCE]).all():
                raise ValueError("a vector is not finite")
    except OSError:
        raise
    # NumPy evaluates a header as Python, which fails in many ways.
    except Exception as error:
        raise TornSegmentError(f"{path}: is no segment of this store: {error}") from error
    return np.ascontiguousarray(records["key"]).view(KEY_DTYPE), dimension


# Segments never change, so what a path maps to is always the same.
@lru_cache(maxsize=MAPPED_AT_ONCE)
def mapped_records(path: Path) -> npt.NDArray[Any]:
    """Map a segment's records, reading none; call `read_keys` first, which checks it."""
    records: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return records


def _record_dtype(dimension: int) -> np.dtype[Any]:
    return np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f2", (dimension,))])
