"""What every command shares: logging, progress, and errors as one sentence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from featlab.errors import FeatlabError
from featlab.progress import Advance, report_to
from pipelines.run.settings import CommandSettings

Settings = TypeVar("Settings", bound=CommandSettings)

EXIT_BAD_INPUT = 2
console = Console(stderr=True, highlight=False)


class ConsoleReporter:
    """Notes as lines and tasks as bars, on standard error."""

    def note(self, message: str) -> None:
        """Print one line."""
        console.print(message, markup=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Show a bar with the time left."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            shown = bar.add_task(title, total=total, remark="")

            def advance(done: int, remark: str = "", /) -> None:
                bar.update(shown, completed=done, remark=remark)

            yield advance


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
