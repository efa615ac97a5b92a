"""A shard: one file of keys and vectors, named by its own checksum.

The contract of a shard file, version 1:

- It is a NumPy ``.npy`` file of one structured array of shape ``(rows,)``,
  little-endian, with the fields ``key`` (16 raw bytes, `featlab.vectors.keys`)
  and ``vector`` (``dimension`` float16 numbers). ``numpy.load(path,
  mmap_mode="r")["vector"]`` reads it with nothing else installed.
- Its name is the blake2b-128 of all its bytes in hexadecimal, and ``.npy``.
  The name is the checksum: a file cut short or changed no longer has the
  content its name promises, and is no shard.
- It is written beside its place and renamed onto it, and never changed after.
  So there is no moment at which a reader, or a process that starts after a
  kill, sees half a shard; and two processes that write at once can only write
  two shards, or twice the same one.
"""

from __future__ import annotations

import hashlib
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from featlab.errors import StoreError
from featlab.files import atomic_path
from featlab.vectors.keys import KEY_BYTES, KEY_DTYPE, Keys

SUFFIX = ".npy"
MAPPED_AT_ONCE = 256
"""Shards mapped at a time: each holds an open file, and a process may have only so many."""

Halves: TypeAlias = npt.NDArray[np.float16]
Records: TypeAlias = npt.NDArray[Any]


class TornShardError(StoreError):
    """A shard file's bytes are not what its name promises, or are no shard at all."""


def write_shard(folder: Path, keys: Keys, vectors: Halves) -> Path:
    """Write one shard.

    Parameters
    ----------
    folder : Path
    keys : array of dtype S16, shape (n,)
    vectors : float16 array of shape (n, dimension)

    Returns
    -------
    The file's path. When this returns, the shard outlives a loss of power.
    """
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
    """Check a shard against its name, and read its keys.

    Returns
    -------
    keys : array of dtype S16, shape (n,)
    dimension : int
        Numbers in each of its vectors.

    Raises
    ------
    TornShardError
        When the file's content is not what its name promises.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    if digest != path.stem:
        raise TornShardError(f"{path}: its content does not match the checksum in its name")
    try:
        records = mapped_records(path)
        dimension = records.dtype["vector"].shape[0]
        if records.ndim != 1 or records.dtype != _record_dtype(dimension):
            raise TornShardError(f"{path}: is no shard of this store, but {records.dtype}")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise TornShardError(f"{path}: is no shard of this store: {error}") from error
    return np.ascontiguousarray(records["key"]).view(KEY_DTYPE), dimension


# Shards never change, so what a path maps to is always the same.
@lru_cache(maxsize=MAPPED_AT_ONCE)
def mapped_records(path: Path) -> Records:
    """The records of a shard, mapped and not read; call `read_keys` first, which checks it."""
    records: Records = np.load(path, mmap_mode="r", allow_pickle=False)
    return records


def _record_dtype(dimension: int) -> np.dtype[Any]:
    return np.dtype([("key", f"V{KEY_BYTES}"), ("vector", "<f2", (dimension,))])
