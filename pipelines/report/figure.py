"""One declaration a figure; the page, the PNG and the CSV follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure as Canvas

from pipelines.report.run_data import RunData
from pipelines.report.theme import WIDTH, render


class LeftOut(Exception):  # noqa: N818
    """A figure that this run cannot have; its message says why, and what would change that."""


@dataclass(frozen=True)
class Figure:
    """A figure of a run.

    Parameters
    ----------
    name : str
        Stem of its files and its anchor on the page.
    section : str
        The heading it stands under.
    numbers : callable
        What it shows; the CSV holds exactly this frame. Raises `LeftOut`.
    title : callable
        Its finding, said with numbers of the frame.
    note : callable
        Units, n, and what the intervals are.
    draw : callable
        Draws the frame on an empty figure.
    height : callable
        Inches for a frame.
    width : float
        Inches.
    """

    name: str
    section: str
    numbers: Callable[[RunData], pl.DataFrame]
    title: Callable[[pl.DataFrame], str]
    note: Callable[[pl.DataFrame], str]
    draw: Callable[[Canvas, pl.DataFrame], None]
    height: Callable[[pl.DataFrame], float] = lambda frame: 3.2
    width: float = WIDTH

    def make(self, data: RunData) -> Drawn:
        """Compute, name and draw.

        Raises
        ------
        LeftOut
            When the run has no such numbers.
        """
        frame = self.numbers(data)
        title, note = self.title(frame), self.note(frame)
        png = render(
            lambda canvas: self.draw(canvas, frame), title, note, self.height(frame), self.width
        )
        return Drawn(self.name, self.section, title, note, frame, png)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure as it came out: finding, note, numbers, picture."""

    name: str
    section: str
    title: str
    note: str
    numbers: pl.DataFrame
    png: bytes
