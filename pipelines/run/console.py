"""What every command shares: logging, progress, and errors as one sentence."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from featlab.errors import FeatlabError
from featlab.progress import Advance, Progress, report_to
from pipelines.run.settings import CommandSettings

Settings = TypeVar("Settings", bound=CommandSettings)

EXIT_BAD_INPUT = 2
SECONDS_BETWEEN_LINES = 30.0
console = Console(stderr=True, highlight=False)


class ConsoleReporter:
    """Notes as lines and tasks as bars, on standard error."""

    def note(self, message: str) -> None:
        """Print one line."""
        console.print(message, markup=False, soft_wrap=True)

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

            yield advance

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
    """Load settings, run the command, and end with status 2 and a sentence on bad input."""
    try:
        loaded = settings.load(sys.argv[1:] if arguments is None else arguments, program)
        logging.basicConfig(
            level=logging.INFO if loaded.verbose else logging.WARNING,
            format="%(message)s",
            handlers=[RichHandler(console=console, show_path=False)],
            force=True,
        )
        report_to(ConsoleReporter())
        command(loaded)
    except FeatlabError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(130) from None
