"""Text files, packed by gzip or zstd or not: their bytes, and whether memory holds them.

A line is the least that has to be in memory at once; of a file packed by zstd,
which Python cannot unpack by parts before 3.14, everything is.
"""

from __future__ import annotations

import gzip
import io
import zlib
from functools import lru_cache
from pathlib import Path
from typing import IO, cast

import polars as pl

from featlab.errors import BattleError
from featlab.memory import available_memory

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20
_COPIES = 4
_BLOCK = 128 << 10
_REPEATED, _COMPRESSED = 1, 2


def opened(path: Path) -> IO[bytes]:
    """Return the bytes of a file, unpacked; as in the engine, its name does not matter."""
    begin = _begin(path)
    if begin.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if begin == _ZSTD:
        # The engine unpacks it line by line.
        lines = pl.read_lines(path, glob=False).to_series()
        return io.BytesIO("\n".join(lines.fill_null("")).encode())
    return path.open("rb")


def check_memory(path: Path) -> None:
    """Refuse a text file of which more than there is has to be in memory at once.

    Raises
    ------
    BattleError
        With what it takes and what there is.
    """
    most = available_memory()
    status = path.stat()
    begin = _begin(path)
    packed = begin.startswith(_GZIP) or begin == _ZSTD
    if most is None or (not packed and _COPIES * status.st_size <= most):
        return
    at_once = _at_once(path, status.st_size, status.st_mtime_ns)
    if _COPIES * at_once > most:
        what = "unpacks to" if begin == _ZSTD else "has a line of"
        raise BattleError(
            f"{what} {at_once / 2**30:,.1f} GiB, and {most / 2**30:,.1f} GiB of memory are there "
            f"for {_COPIES} times as much",
            source=str(path),
            remedy="unpack it" if begin == _ZSTD else "free or allow more memory",
        )


def _begin(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4)


@lru_cache(maxsize=64)
def _at_once(path: Path, size: int, changed: int) -> int:
    """Return the bytes of the longest line, or of everything where all is unpacked at once."""
    if _begin(path) == _ZSTD:
        with path.open("rb") as packed:
            return _unpacked_at_most(packed)
    longest = line = 0
    try:
        with opened(path) as stream:
            while part := stream.read(_CHUNK):
                first = part.find(b"\n")
                if first < 0:
                    line += len(part)
                    continue
                longest = max(longest, line + first)
                line = len(part) - 1 - part.rfind(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error):
        # Whoever reads it says what is wrong with it.
        return 0
    return max(longest, line)


def _unpacked_at_most(stream: IO[bytes]) -> int:
    """Return a bound of what zstd unpacks to: a block of it is at most 128 KiB (RFC 8878)."""
    total = 0
    while len(magic := stream.read(4)) == 4:
        if magic != _ZSTD:
            stream.seek(int.from_bytes(stream.read(4), "little"), io.SEEK_CUR)
            continue
        descriptor = int.from_bytes(stream.read(1), "little")
        single = descriptor >> 5 & 1
        sizes = (1 - single, (0, 1, 2, 4)[descriptor & 3], (single, 2, 4, 8)[descriptor >> 6])
        stream.seek(sum(sizes), io.SEEK_CUR)
        while len(header := stream.read(3)) == 3:
            block = int.from_bytes(header, "little")
            last, kind, size = block & 1, block >> 1 & 3, block >> 3
            total += _BLOCK if kind == _COMPRESSED else size
            stream.seek(1 if kind == _REPEATED else size, io.SEEK_CUR)
            if last:
                break
        stream.seek(4 * (descriptor >> 2 & 1), io.SEEK_CUR)
    return total
