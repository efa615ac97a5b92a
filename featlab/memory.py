"""How much memory a process may still take, and how it lets go of some."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Of a container: limit and use, in both editions of Linux's control groups.
_CONTAINERS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
# Copies of files, which are given up where memory is asked for.
_GIVEN_UP = ("active_file", "inactive_file")


def available_memory() -> int | None:
    """Return the bytes that this process may still take, ``None`` where the system does not say.

    The least of what is free, what ``ulimit -v`` leaves, and what a container leaves.
    """
    return max(0, min(known)) if (known := list(_limits())) else None


def _limits() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        yield _numbers(Path("/proc/meminfo"))["MemAvailable:"] << 10
    if sys.platform != "win32":
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        with suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            if allowed != resource.RLIM_INFINITY:
                yield allowed - pages * resource.getpagesize()
    for home, limit, used in _CONTAINERS:
        # Without a limit there is a word, or a number beyond any machine's memory.
        with suppress(OSError, ValueError):
            left = int((home / limit).read_text()) - int((home / used).read_text())
            stated = _numbers(home / "memory.stat")
            yield left + sum(stated.get(name, 0) for name in _GIVEN_UP)


def _numbers(path: Path) -> dict[str, int]:
    """Return name -> number of the lines of a file."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1}


def return_freed_memory() -> None:
    """Give what was freed back to the system, where the C library keeps it for itself.

    After many small arrays that is hundreds of megabytes, which whatever works
    next would have on top of its own. Does nothing but with glibc.
    """
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
