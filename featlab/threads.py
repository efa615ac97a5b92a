"""How many threads this process may use, decided in one place.

Two thread pools on the same cores spin against each other, so every library
that owns a pool is told the same count, and only one of them works at a time.
"""

from __future__ import annotations

import os

VARIABLE = "FEATLAB_THREADS"


def thread_count() -> int:
    """Threads to use: ``FEATLAB_THREADS`` if set, else the cores this process may run on.

    Examples
    --------
    >>> thread_count() >= 1
    True
    """
    configured = os.environ.get(VARIABLE, "")
    if configured.isdigit() and int(configured) > 0:
        return int(configured)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
