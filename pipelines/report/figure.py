"""A figure is one decorated function; the page, the PNG and the CSV follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import polars as pl

from pipelines.report.run_data import RunData
from pipelines.report.theme import render


class LeftOut(Exception):  # noqa: N818
    """A figure that this run cannot have; its message says why, and what would change that."""


@dataclass(frozen=True)
class Need:
    """What a run must have for a figure.

    Parameters
    ----------
    met : callable
        Called with the run.
    otherwise : str
        Why the figure is left out where it is not met, and what would change that.
    """

    met: Callable[[RunData], bool]
    otherwise: str


NAMES = Need(lambda data: bool(data.named.any()), "the training file names no models")


@dataclass(frozen=True, eq=False)
class Plot:
    """What a figure shows of one run.

    Parameters
    ----------
    numbers : DataFrame
        What is drawn; the CSV holds exactly this frame.
    title : str
        The finding, a sentence with numbers of the frame.
    note : str
        Units, n, and what the intervals are.
    draw : callable
        Called with the axes of each panel.
    height : float
        Inches.
    panels : pair of int
        Rows and columns of panels, which share their vertical axis.
    """

    numbers: pl.DataFrame
    title: str
    note: str
    draw: Callable[..., None]
    height: float = 3.2
    panels: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure as it came out."""

    name: str
    plot: Plot
    png: bytes


@dataclass(frozen=True)
class Figure:
    """A figure of a run.

    Parameters
    ----------
    name : str
        Stem of its files and its anchor on the page.
    section : str
        The heading it stands under.
    needs : tuple of Need
    show : callable
        Called with the run; may raise `LeftOut`.
    """

    name: str
    section: str
    needs: tuple[Need, ...]
    show: Callable[[RunData], Plot]

    def plot(self, data: RunData) -> Plot:
        """Return what it shows of a run.

        Raises
        ------
        LeftOut
            When the run cannot have the figure.
        """
        for need in self.needs:
            if not need.met(data):
                raise LeftOut(need.otherwise)
        return self.show(data)

    def make(self, data: RunData) -> Drawn:
        """Return the figure, drawn."""
        plot = self.plot(data)

        def draw(canvas: object) -> None:
            axes = canvas.subplots(*plot.panels, sharey=plot.panels != (1, 1), squeeze=False)  # type: ignore[attr-defined]
            plot.draw(*np.ravel(axes))

        return Drawn(self.name, plot, render(draw, plot.title, plot.note, plot.height))


def figure(
    section: str, *needs: Need, name: str = ""
) -> Callable[[Callable[[RunData], Plot]], Figure]:
    """Declare a figure.

    Parameters
    ----------
    section : str
    *needs : Need
    name : str, optional
        By default the function's.
    """
    return lambda show: Figure(name or show.__name__, section, needs, show)


def figures_of(modules: Iterable[ModuleType]) -> tuple[Figure, ...]:
    """Return the figures that modules declare, in order."""
    return tuple(
        value for module in modules for value in vars(module).values() if isinstance(value, Figure)
    )
