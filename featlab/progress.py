"""How far a long task is and how long it will take, for whoever wants to know.

The library prints nothing: it hands a `Progress` to a callback, and by default
writes a line to the log now and then. A command line says once who shows what
is under way (`report_to`), so that work need not know by whom it is watched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeAlias

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0
LONG = 600.0
"""Seconds from which a person is told at the start how long something takes."""


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


class NotedProgress:
    """A callback that notes a line every so often and, after such lines, the end.

    Parameters
    ----------
    interval : float, default 30
        Seconds between two lines.
    """

    def __init__(self, interval: float = SECONDS_BETWEEN_LINES) -> None:
        self.interval = interval
        self._last = time.monotonic()
        self._told = False

    def __call__(self, progress: Progress) -> None:
        """Note `progress` if it is time."""
        now = time.monotonic()
        if now - self._last >= self.interval or (self._told and progress.done == progress.total):
            self._last, self._told = now, True
            note(str(progress))


class Advance(Protocol):
    """Called with the number of completed steps, and a remark to show."""

    def __call__(self, done: int, remark: str = "", /) -> None:
        """Move on."""


class Reporter(Protocol):
    """What shows a person what is under way."""

    def note(self, message: str) -> None:
        """Show one line."""

    def task(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Show a task of so many steps as long as the block lasts."""

    def work(self, title: str) -> AbstractContextManager[None]:
        """Show that work is under way as long as the block lasts, however far it is."""


class LoggedReporter:
    """A reporter that writes to the log, at level INFO."""

    def note(self, message: str) -> None:
        """Log one line."""
        logger.info("%s", message)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Log a line now and then."""
        start, log = time.monotonic(), NotedProgress()

        def advance(done: int, remark: str = "", /) -> None:
            name = f"{title} ({remark})" if remark else title
            share = done / max(total, 1)
            log(Progress(name, done, total, share, time.monotonic() - start))

        yield advance

    def work(self, title: str) -> AbstractContextManager[None]:
        """Log nothing: there is no step to tell of."""
        return nullcontext()


_reporter: Reporter = LoggedReporter()


def report_to(reporter: Reporter) -> None:
    """Let a reporter show notes and tasks from now on, in this process."""
    global _reporter
    _reporter = reporter


def note(message: str) -> None:
    """Show one line to whoever watches.

    Examples
    --------
    >>> note("kernel: fitting")
    """
    _reporter.note(message)


def task(title: str, total: int) -> AbstractContextManager[Advance]:
    """Show a task to whoever watches; yields a function of the completed steps and a remark.

    Examples
    --------
    >>> with task("folds", 5) as advance:
    ...     advance(1, "fold 0")
    """
    return _reporter.task(title, total)


def work(title: str) -> AbstractContextManager[None]:
    """Show that work is under way, to whoever watches, where nothing else does.

    Examples
    --------
    >>> with work("blend"):
    ...     pass
    """
    return _reporter.work(title)


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
