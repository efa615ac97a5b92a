"""How far a long task is and how long it will take, told to whoever wants to know.

The library prints nothing: it hands a `Progress` to a callback, and by default
writes a line to the log now and then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True)
class Progress:
    """Where a task stands.

    Parameters
    ----------
    task : str
        What is being done.
    done, total : int
        Items.
    share : float
        Of the work, in [0, 1]; items may differ in how much work they are.
    seconds : float
        Since the task began.

    Examples
    --------
    >>> str(Progress("encoding texts", done=512, total=2048, share=0.4, seconds=60.0))
    'encoding texts: 512 of 2,048 (40%), 1:30 left'
    """

    task: str
    done: int
    total: int
    share: float
    seconds: float

    @property
    def seconds_left(self) -> float:
        """Expected seconds until it is done, at the pace so far; infinite at the very start."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else float("inf")

    def __str__(self) -> str:
        state = f"{self.task}: {self.done:,} of {self.total:,} ({self.share:.0%})"
        if self.done == self.total:
            return f"{state} in {clock(self.seconds)}"
        return f"{state}, {clock(self.seconds_left)} left" if self.share > 0 else state


ProgressCallback: TypeAlias = Callable[[Progress], None]


class LoggedProgress:
    """A callback that logs, at level INFO, the end and a line every so often.

    Parameters
    ----------
    interval : float, default 15
        Seconds between two lines.
    """

    def __init__(self, interval: float = SECONDS_BETWEEN_LINES) -> None:
        self.interval = interval
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Log `progress` if it is time."""
        now = time.monotonic()
        if progress.done == progress.total or now - self._last >= self.interval:
            self._last = now
            logger.info("%s", progress)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours.

    Examples
    --------
    >>> clock(75), clock(7325)
    ('1:15', '2:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
