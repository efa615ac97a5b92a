"""The shapes that figures are made of: dots with intervals, bars, lines, shaded tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipelines.report.theme import BLUE, GREY, ORANGE, SERIES, SKY
from pipelines.report.words import outcome_name, shortened

Bounds = tuple[str, str, str]
"""Columns of a value, of its lower and of its upper bound."""

Style = tuple[str, str]
"""Colour and marker."""

SHARE: Bounds = ("share", "low", "high")
LOSS: Bounds = ("log_loss", "low", "high")
DARK: Style = ("#222222", "none")
OUTCOME_STYLES: dict[str, Style] = {"a": (BLUE, "o"), "b": (ORANGE, "s"), "tie": (GREY, "^")}


def percent_axis(axis: Axis, label: str = "") -> None:
    """Print an axis of shares in per cent, each tick to the digits that it has."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g} %"))
    axis.set_label_text(label)


def log_counts(axes: Axes, along: str) -> None:
    """Make the horizontal axis one of counts on a log scale, with ticks that have room."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(along)


def rows_height(count: int, each: float = 0.24, frame: float = 1.3) -> float:
    """Return inches for a figure with a row each category."""
    return frame + each * max(count, 2)


def name_rows(axes: Axes, names: Sequence[Any], along: str) -> None:
    """Name horizontal rows from top to bottom, and the axis along them."""
    axes.set_yticks(range(len(names)), [shortened(str(name)) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(along)


def legend_above(axes: Axes, columns: int = 3) -> None:
    """Put a legend between title and axes, where it hides no data."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2,
        handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip


def interval(
    axes: Axes,
    places: Any,
    frame: pl.DataFrame,
    columns: Bounds = SHARE,
    *,
    style: Style = (BLUE, "o"),
    label: str | None = None,
    horizontal: bool = False,
    joined: bool = False,
) -> None:
    """Draw markers with interval lines at given places along the other axis.

    Values lie along the vertical axis, or the `horizontal` one; a thin line
    joins them where they are `joined`.
    """
    value, low, high = (frame[column].cast(pl.Float64).to_numpy() for column in columns)
    bounds = np.nan_to_num(np.vstack([value - low, high - value])).clip(0)
    given = {"x": value, "y": places, "xerr": bounds}
    if not horizontal:
        given = {"x": places, "y": value, "yerr": bounds}
    colour, marker = style
    axes.errorbar(**given, fmt=marker, color=colour, markersize=3.6, elinewidth=1.1, label=label)
    if joined:
        axes.plot(places, value, color=colour, linewidth=0.8, alpha=0.6)


def dots(
    axes: Axes,
    frame: pl.DataFrame,
    label: str,
    columns: Bounds = SHARE,
    *,
    along: str,
    series: str | None = None,
    reference: float | None = None,
    styles: Mapping[str, Style] | None = None,
    legend_columns: int = 3,
) -> None:
    """Draw values with their intervals, a row each category from top to bottom.

    Categories come from the column `label`, in the order of the frame; those of
    a null or NaN value are left out. Rows of several `series`, a column too,
    stand beside each other in their `styles`. A line marks the `reference`, where
    there is no effect; `along` names the horizontal axis.
    """
    names = frame[label].unique(maintain_order=True).to_list()
    kinds = [None] if series is None else frame[series].unique(maintain_order=True).to_list()
    spread = min(0.26, 0.72 / len(kinds))
    for index, kind in enumerate(kinds):
        part = frame if series is None else frame.filter(pl.col(series) == kind)
        shown = part.filter(pl.col(columns[0]).is_finite())
        style = (BLUE, "o") if kind is None else (styles or {}).get(kind, SERIES[index % 4])
        heights = np.array([names.index(name) for name in shown[label]], float)
        heights += (index - (len(kinds) - 1) / 2) * spread
        interval(axes, heights, shown, columns, style=style, label=kind, horizontal=True)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    name_rows(axes, names, along)
    if series is not None:
        legend_above(axes, legend_columns)


def side_by_side(frame: pl.DataFrame, label: str, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Return ``label, kind, value, low, high``: the columns ``x, x_low, x_high`` of each kind x.

    Kinds are named as `kinds` says; underscores of the labels become spaces.
    """
    return pl.concat(
        frame.select(
            pl.col(label).str.replace_all("_+", " "),
            pl.lit(name).alias("kind"),
            pl.col(kind).alias("value"),
            pl.col(f"{kind}_low").alias("low"),
            pl.col(f"{kind}_high").alias("high"),
        )
        for kind, name in kinds.items()
    )


def bars(
    axes: Axes, names: Sequence[Any], values: Any, texts: Sequence[str], along: str, ends: Any
) -> None:
    """Draw horizontal bars from top to bottom, with texts that begin at their ends."""
    axes.barh(range(len(names)), values, color=SKY, height=0.7)
    for place, (text, end) in enumerate(zip(texts, ends, strict=True)):
        axes.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=7)  # fmt: skip
    name_rows(axes, names, along)


def histogram(axes: Axes, frame: pl.DataFrame, low: str, high: str, count: str, what: str) -> None:
    """Draw bars between two bounds, shares of all on the vertical axis."""
    left, width = frame[low], (frame[high] - frame[low]).to_numpy()
    axes.bar(left, frame[count] / frame[count].sum(), width=width, align="edge", color=SKY,
             edgecolor="white", linewidth=0.4)  # fmt: skip
    percent_axis(axes.yaxis, f"share of {what}")
    axes.grid(visible=False, axis="x")


def shaded(
    axes: Axes,
    shares: Any,
    names: Sequence[str],
    texts: Sequence[str],
    white: float,
    size: float,
    tilt: float = 0.0,
) -> None:
    """Draw a square table of shares, with a text in each cell, white above a share."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(white / 0.65, shares.max()), aspect="auto")
    for ((row, column), share), text in zip(np.ndenumerate(shares), texts, strict=True):
        colour = "white" if share > white else "#111111"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    axes.set_xticks(range(len(names)), names, rotation=tilt, ha="right" if tilt else "center")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)


def by_outcome(axes: Axes, frame: pl.DataFrame, places: Sequence[int]) -> None:
    """Draw the shares of the three outcomes at the same places, a little apart."""
    for index, (outcome, style) in enumerate(OUTCOME_STYLES.items()):
        part, shifted = (
            frame.filter(pl.col("outcome") == outcome),
            np.add(places, 0.1 * index - 0.1),
        )
        if part.is_empty():
            continue
        interval(axes, shifted, part, style=style, label=outcome_name(outcome), joined=True)
