"""A download that goes on where it stopped.

The bytes lie beside their target under a name made of the content's own
identity, so that parts of two versions never meet in one file. Only a file of
the right size and checksum gets out.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from featlab.files import file_fingerprint
from pipelines.download.errors import DiskFullError, NetworkError, WrongFileError
from pipelines.run.console import console

BLOCK = 4 << 20

ReadBytes: TypeAlias = Callable[[int, int], bytes]
"""From the offset given, the bytes up to the end given, or fewer."""


def part_of(target: Path, identity: str) -> Path:
    """Where the bytes of one version of `target` gather.

    Examples
    --------
    >>> part_of(Path("data/train.csv"), "0692154a" * 8).as_posix()
    'data/.train.0692154a0692154a.part.csv'
    """
    return target.with_name(f".{target.stem}.{identity[:16]}.part{target.suffix}")


def complete(part: Path, size: int, sha256: str | None, read: ReadBytes) -> Path:
    """Fetch what `part` lacks, check the whole, and return it.

    Parameters
    ----------
    part : Path
        Of `part_of`; what it holds already is not fetched again.
    size : int
        Bytes of the whole.
    sha256 : str, optional
        Of the whole, in hexadecimal.
    read : callable

    Raises
    ------
    DiskFullError
        When the rest does not fit; what has come stays.
    NetworkError
        When `read` gives no bytes though some are missing.
    WrongFileError
        When the whole has another checksum; the part is then removed.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    if have > size:
        part.unlink()
        have = 0
    check_space(part.parent, size - have)
    with writable(part.parent), part.open("ab") as stream, byte_bar(part, have, size) as advance:
        while have < size:
            block = read(have, min(have + BLOCK, size))
            if not block:
                raise NetworkError(
                    f"the server ended after {have:,} of {size:,} bytes; run the same command "
                    "again to go on from there"
                )
            stream.write(block)
            stream.flush()
            have += len(block)
            advance(have)
    if sha256 is not None and (found := file_fingerprint(part)) != sha256:
        part.unlink()
        raise WrongFileError(
            f"what came has sha256 {found[:16]}..., the server's own record says "
            f"{sha256[:16]}...; it was removed, run the same command again"
        )
    return part


def check_space(folder: Path, size: int) -> None:
    """Raise before a download begins that cannot end well.

    Raises
    ------
    DiskFullError
        When the file system of `folder` has less than `size` bytes left.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DiskFullError(
            f"{folder} has {free / 1e6:,.0f} MB left, {size / 1e6:,.0f} MB are needed; "
            "make room or choose another folder by --data"
        )


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Tell a full disk, which can fill while others write, in words."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            f"{folder} is full; make room and run the same command again, "
            "or choose another folder by --data"
        ) from None


@contextmanager
def byte_bar(part: Path, have: int, size: int) -> Iterator[Callable[[int], None]]:
    """A bar with size, speed and time left; yields a function of the bytes that are there."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(part.suffix.lstrip("."), total=size, completed=have)
        yield lambda done: bar.update(task, completed=done)
