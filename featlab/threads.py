"""How many threads this process may use, decided in one place.

Two thread pools on the same cores spin against each other, so every library
that owns a pool is told the same count, and only one of them works at a time.
"""

from __future__ import annotations

import os

VARIABLE = "FEATLAB_THREADS"


def wait_passively() -> None:
    """Make OpenMP's threads sleep at a barrier instead of spinning.

    Spinning threads fight for the cores with whatever else runs: on a busy
    machine LightGBM on two threads then takes fifty times as long as on one.
    Takes effect on libraries that are loaded afterwards; a policy that the
    user set stays.

    Examples
    --------
    >>> wait_passively()
    >>> "OMP_WAIT_POLICY" in os.environ
    True
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


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
