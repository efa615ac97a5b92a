"""Why a download ended without a file, in a sentence that says what to do about it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featlab.errors import FeatlabError

AGAIN = "run the same command again later, it goes on where it stopped"
BY_HAND = "put Kaggle's train.csv and test.csv into the data folder by hand"


class DownloadError(FeatlabError):
    """No file came: no network, no permission, no room, or another file than was asked for."""


@contextmanager
def writable(folder: Path, size: int = 0) -> Iterator[None]:
    """Make a folder to write `size` bytes into, and say in words why that cannot be done.

    A disk without room is told before it fills, and one that others fill meanwhile too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free >= size:
            yield
            return
        problem = f"has {free / 1e6:,.0f} MB left, {size / 1e6:,.0f} MB are needed; make room"
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            problem = "is full; make room and run the same command again"
        elif error.filename is not None:
            problem = f"cannot be used ({error.filename}: {error.strerror}); see to its rights"
        else:
            raise
    raise DownloadError(f"{folder} {problem}, or choose another folder by --data")
