"""A figure is one decorated function; the page, the PNG and the CSV follow from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Canvas

from featlab.files import without_formulas
from pipelines.report.run_data import RunData
from pipelines.report.theme import render


class LeftOut(Exception):  # noqa: N818
    """A figure that this run cannot have; its message says why, and what would change that."""


@dataclass(frozen=True)
class Need:
    """What a run must have for a figure, and why it is left out where the run has not."""

    met: Callable[[RunData], bool]
    otherwise: str


NAMES = Need(lambda data: bool(data.named.any()), "the training file names no models")
BATTLES = Need(
    lambda data: len(data.labels) >= 50 and len(set(data.labels.tolist())) > 1,
    "there are too few battles: fewer than 50, or all with one outcome",
)


@dataclass(frozen=True, eq=False)
class Plot:
    """What a figure shows of one run.

    The CSV holds exactly the frame of `numbers`; the title is the finding, the
    note says units, n and what the intervals are. `draw` is called with the axes
    of each of the `panels` (rows, columns), which share their vertical axis. The
    height is in inches. `telling` is how many standard errors the finding lies
    from "nothing to see": the page begins with the most telling ones. The table
    is `opened` where it is the figure, and rows whose column `few` holds are grey.
    """

    numbers: pl.DataFrame
    title: str
    note: str
    draw: Callable[..., None]
    height: float = 2.6
    panels: tuple[int, int] = (1, 1)
    telling: float = 0.0
    opened: bool = False


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure as it came out."""

    name: str
    plot: Plot
    png: bytes
    svg: str

    @property
    def csv(self) -> bytes:
        """The numbers as a file."""
        return without_formulas(self.plot.numbers).write_csv().encode("utf-8")


@dataclass(frozen=True)
class Figure:
    """A figure of a run: a name for its files, a heading, and what is shown under it."""

    name: str
    section: str
    needs: tuple[Need, ...]
    show: Callable[[RunData], Plot]

    def plot(self, data: RunData) -> Plot:
        """Return what it shows of a run; raise `LeftOut` where the run cannot have it."""
        for need in self.needs:
            if not need.met(data):
                raise LeftOut(need.otherwise)
        plot = self.show(data)
        if re.search(r"\b(nan|inf)\b", plot.title):
            raise LeftOut("there are too few battles of the kind that it compares")
        return plot

    def make(self, data: RunData) -> Drawn:
        """Return the figure, drawn; raise `LeftOut` where the run cannot have it."""
        plot = self.plot(data)

        def draw(canvas: Canvas) -> None:
            panels = canvas.subplots(*plot.panels, sharey=plot.panels != (1, 1), squeeze=False)
            plot.draw(*np.ravel(panels))

        return Drawn(self.name, plot, *render(draw, plot.title, plot.note, plot.height, self.name))


def figure(
    section: str, *needs: Need, name: str = ""
) -> Callable[[Callable[[RunData], Plot]], Figure]:
    """Declare a figure under a heading of the page; its name is the function's by default."""
    return lambda show: Figure(name or show.__name__, section, (BATTLES, *needs), show)


def figures_of(modules: Iterable[ModuleType]) -> tuple[Figure, ...]:
    """Return the figures that modules declare, in order."""
    found = (value for module in modules for value in vars(module).values())
    return tuple(value for value in found if isinstance(value, Figure))
