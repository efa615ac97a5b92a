"""The shapes that figures are made of: dots with intervals, bars, histograms, bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from pipelines.report.theme import BLUE, GREY, LABEL_LENGTH, SERIES, SKY, shortened

Bounds = tuple[str, str, str]
SHARE: Bounds = ("share", "low", "high")


def dots(
    axes: Axes,
    frame: pl.DataFrame,
    label: str,
    columns: Bounds = SHARE,
    *,
    series: str | None = None,
    reference: float | None = None,
    percent: bool = False,
    styles: Mapping[str, tuple[str, str]] | None = None,
    columns_of_legend: int = 3,
    label_length: int = LABEL_LENGTH,
) -> None:
    """Values with their intervals, a row each category from top to bottom.

    Parameters
    ----------
    axes : Axes
    frame : DataFrame
        A row each category, and series where there are several.
    label : str
        Column of the categories, drawn in the order they come.
    columns : tuple of three str
        Value, low, high; null and NaN are left out.
    series : str, optional
        Column of the series, drawn beside each other.
    reference : float, optional
        Where a line marks "no effect".
    percent : bool
    styles : mapping of str to (colour, marker), optional
        By series.
    columns_of_legend, label_length : int
    """
    categories = frame[label].unique(maintain_order=True).to_list()
    position = {name: index for index, name in enumerate(categories)}
    kinds = [None] if series is None else frame[series].unique(maintain_order=True).to_list()
    spread = 0.0 if len(kinds) == 1 else min(0.26, 0.72 / len(kinds))
    for index, kind in enumerate(kinds):
        part = frame if series is None else frame.filter(pl.col(series) == kind)
        part = part.filter(pl.col(columns[0]).is_finite())
        colour, marker = (styles or {}).get(kind or "", SERIES[index % len(SERIES)])
        if series is None:
            colour = BLUE
        heights = np.array([position[name] for name in part[label]], float)
        heights += (index - (len(kinds) - 1) / 2) * spread
        interval(
            axes, heights, part, columns, colour=colour, marker=marker, label=kind, horizontal=True
        )
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    axes.set_yticks(
        range(len(categories)), [shortened(str(name), label_length) for name in categories]
    )
    axes.set_ylim(len(categories) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if series is not None:
        legend_above(axes, columns_of_legend)


def legend_above(axes: Axes, columns: int = 3) -> None:
    """A legend between title and axes, where it hides no data."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handletextpad=0.4,
        columnspacing=1.0,
    )


def interval(
    axes: Axes,
    places: Any,
    frame: pl.DataFrame,
    columns: Bounds = SHARE,
    *,
    colour: str = BLUE,
    marker: str = "o",
    label: str | None = None,
    horizontal: bool = False,
) -> None:
    """Markers with interval lines at given places along the other axis."""
    value, low, high = (frame[column].cast(pl.Float64).to_numpy() for column in columns)
    bounds = np.nan_to_num(np.vstack([value - low, high - value])).clip(0)
    style: dict[str, Any] = {
        "fmt": marker,
        "color": colour,
        "markersize": 3.6,
        "elinewidth": 1.1,
        "label": label,
    }
    if horizontal:
        axes.errorbar(value, places, xerr=bounds, **style)
    else:
        axes.errorbar(places, value, yerr=bounds, **style)


def histogram(axes: Axes, frame: pl.DataFrame, low: str, high: str, count: str) -> None:
    """Bars between two bounds, shares of all on the vertical axis."""
    counts = frame[count].to_numpy()
    left, right = frame[low].to_numpy(), frame[high].to_numpy()
    axes.bar(
        left, counts / counts.sum(), width=right - left, align="edge", color=SKY, edgecolor="white",
        linewidth=0.4,
    )  # fmt: skip
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(visible=False, axis="x")


def stacked(
    axes: Axes, names: Sequence[str], parts: Mapping[str, Any], colours: Sequence[str]
) -> None:
    """Horizontal bars of parts laid end to end, a row each name from top to bottom."""
    start = np.zeros(len(names))
    for (label, values), colour in zip(parts.items(), colours, strict=True):
        axes.barh(range(len(names)), values, left=start, height=0.75, color=colour, label=label)
        start = start + np.asarray(values, float)
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def rows_height(count: int, each: float = 0.2, frame: float = 1.5) -> float:
    """Inches for a figure with a row each category."""
    return frame + each * max(count, 2)
