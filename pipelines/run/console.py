"""What every command shares: logging, progress, and errors as one sentence."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeVar

from polars.exceptions import PanicException, PolarsError
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from featlab.errors import ConfigError, FeatlabError, visible
from featlab.progress import SECONDS_BETWEEN_LINES, Advance, Progress, clock, report_to
from pipelines.run.command_settings import CommandSettings
from pipelines.run.folder import RunFolder
from pipelines.run.settings import DataCommandSettings, DataSettings, ShardSettings

Settings = TypeVar("Settings", bound=CommandSettings)

EXIT_BAD_INPUT = 2
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE
_GO_ON = (DataSettings, DataCommandSettings, ShardSettings)
"""Settings of the commands that keep what they have done when they are interrupted."""

console = Console(stderr=True, highlight=False)


class ConsoleReporter:
    """Notes as lines and tasks as bars, on standard error."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._bars = 0

    def note(self, message: str) -> None:
        """Print one line."""
        self._last = time.monotonic()
        console.print(visible(message), markup=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Show a bar with the time left on a terminal, and a line now and then elsewhere."""
        if not console.is_terminal:
            yield self._lines(title, total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        with Bars(*columns, console=console, transient=True) as bar:
            shown = bar.add_task(title, total=total, remark="")

            def advance(done: int, remark: str = "", /) -> None:
                bar.update(shown, completed=done, remark=remark)

            self._bars += 1
            try:
                yield advance
            finally:
                self._bars -= 1

    @contextmanager
    def work(self, title: str) -> Iterator[None]:
        """Say now and then that it goes on, where no line and no bar does."""
        start, ended = time.monotonic(), threading.Event()

        def tell() -> None:
            while not ended.wait(SECONDS_BETWEEN_LINES / 10):
                now = time.monotonic()
                if not self._bars and now - self._last >= SECONDS_BETWEEN_LINES:
                    self.note(f"{title}: at work for {clock(now - start)}")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    def _lines(self, title: str, total: int) -> Advance:
        start = last = time.monotonic()

        def advance(done: int, remark: str = "", /) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= SECONDS_BETWEEN_LINES:
                last = now
                name = f"{title} ({remark})" if remark else title
                self.note(str(Progress(name, done, total, done / max(total, 1), now - start)))

        return advance


def run_command(
    command: Callable[[Settings], None],
    settings: type[Settings],
    program: str,
    arguments: list[str] | None = None,
) -> None:
    """Load settings and run the command; what a person can mend ends in one sentence.

    Raises
    ------
    SystemExit
        With status 2 after a `FeatlabError` or a file that cannot be read or
        written, 130 after an interruption, 143 after a request to terminate,
        and 141 when nobody reads the output any more.
    """
    # What a terminal's encoding lacks is shown as its escape.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _signals_raise():
            loaded = settings.load(sys.argv[1:] if arguments is None else arguments, program)
            handler = RichHandler(console=console, show_path=False)
            handler.setFormatter(_VisibleFormatter("%(message)s"))
            logging.basicConfig(
                level=logging.INFO if loaded.verbose else logging.WARNING,
                handlers=[handler],
                force=True,
            )
            report_to(ConsoleReporter())
            with _own_settings_explained(RunFolder(loaded.run)):
                command(loaded)
            sys.stdout.flush()
    except FeatlabError as error:
        _end(f"error: {error}", EXIT_BAD_INPUT)
    except OSError as error:
        if _nobody_reads(error):
            # Python flushes once more as it ends, into a pipe that is closed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(EXIT_BROKEN_PIPE) from None
        what = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        advice = _ADVICE.get(error.errno or 0, "")
        _end(f"error: {where}{what}{advice}", EXIT_BAD_INPUT)
    except MemoryError:
        _end(f"error: there is not enough memory{_ADVICE[errno.ENOMEM]}", EXIT_BAD_INPUT)
    except (PolarsError, PanicException) as error:
        _end(f"error: a table cannot be read or written: {error}", EXIT_BAD_INPUT)
    except KeyboardInterrupt as interruption:
        number = interruption.args[0] if interruption.args else signal.SIGINT
        rest = "; run the same command again to go on from here"
        _end(f"interrupted{rest if issubclass(settings, _GO_ON) else ''}", 128 + number)


_ADVICE = {
    errno.ENOSPC: "; free some space and run the command again",
    errno.EDQUOT: "; free some space and run the command again",
    errno.EMFILE: "; allow more open files (ulimit -n) and run the command again",
    errno.ENOMEM: "; free or allow more of it (ulimit -v) and run the command again",
}


def _nobody_reads(error: OSError) -> bool:
    """Return whether output met a closed pipe, which Polars says in words alone."""
    return isinstance(error, BrokenPipeError) or f"(os error {errno.EPIPE})" in str(error)


@contextmanager
def _own_settings_explained(run: RunFolder) -> Iterator[None]:
    """Name the file where TOML cannot be read: those of a command line are read by now."""
    try:
        yield
    except tomllib.TOMLDecodeError:
        raise ConfigError(f"{run.config} is not as train-ensemble wrote it; train again") from None


class _VisibleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let requests to stop unwind the stack, so that locks are freed and files cleaned up."""

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(message: str, status: int) -> NoReturn:
    with suppress(OSError):
        print(visible(message), file=sys.stderr)
    raise SystemExit(status) from None
