"""What every command shares: logging, progress, and errors as one sentence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from featlab.errors import FeatlabError
from pipelines.run.settings import CommandSettings

Settings = TypeVar("Settings", bound=CommandSettings)


class Progressed(Protocol):
    """Told how many steps are done, and a remark to show."""

    def __call__(self, done: int, remark: str = "") -> None:
        """Move the bar."""


EXIT_BAD_INPUT = 2
console = Console(stderr=True, highlight=False)


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
        command(loaded)
    except FeatlabError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(130) from None


def say(message: str) -> None:
    """One line for the person at the command line."""
    console.print(message, markup=False, soft_wrap=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Progressed]:
    """A bar with the time left; yields a function of the steps done and a remark."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, remark="")

        def advance(done: int, remark: str = "") -> None:
            bar.update(task, completed=done, remark=remark)

        yield advance
