"""The shapes that figures are made of: dots with intervals, bars, lines, shaded tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipelines.report.theme import BLUE, GREY, INK, ORANGE, SERIES, SKY, tips
from pipelines.report.words import percent, shortened

Bounds = tuple[str, str, str]
"""Columns of a value, of its lower and of its upper bound."""

Style = tuple[str, str]
"""Colour and marker."""

SHARE: Bounds = ("share", "low", "high")
VALUE: Bounds = ("value", "low", "high")
LOSS: Bounds = ("log_loss", "low", "high")
DARK: Style = (INK, "none")
OUTCOME_STYLES: dict[str, Style] = {"a": (BLUE, "o"), "b": (ORANGE, "s"), "tie": (GREY, "^")}


MOST_RATIOS = 5
"""Ticks for which an axis of ratios has room; powers of ten where there were more."""

FOLD = 20
"""Rows of a figure with one a category: the table holds what lies beyond."""


def folded(count: int) -> str:
    """Return the end of the note of a figure of so many rows: what of them is not drawn."""
    return f" The first {FOLD} of {count} rows are drawn, the table holds all." * (count > FOLD)


def percent_axis(axis: Axis, label: str = "") -> None:
    """Print an axis of shares in per cent, each tick to the digits that it has."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g} %"))
    axis.set_label_text(label)


def ratio_axis(axis: Axis) -> None:
    """Print a log axis of ratios, or an axis of log ratios, as multiples at round places."""
    (low, high), ratios = axis.get_view_interval(), np.array([0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10])
    places = ratios if axis.get_scale() == "log" else np.log(ratios)
    inside = (low <= places) & (places <= high)
    if inside.sum() > MOST_RATIOS:
        inside &= np.isin(ratios, (0.01, 0.1, 1, 10))
    axis.set_ticks(places[inside].tolist(), [f"×{ratio:g}" for ratio in ratios[inside]])
    axis.minorticks_off()


def log_counts(axes: Axes, along: str) -> None:
    """Make the horizontal axis one of counts on a log scale, with ticks that have room."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(along)


def rows_height(count: int, each: float = 0.24, frame: float = 0.7) -> float:
    """Return inches for a figure with a row each category."""
    return frame + each * min(max(count, 2), FOLD)


def name_rows(axes: Axes, names: Sequence[Any], along: str) -> None:
    """Name horizontal rows from top to bottom, and the axis along them."""
    axes.set_yticks(range(len(names)), [shortened(str(name)) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(along)


def legend_above(axes: Axes, columns: int = 3) -> None:
    """Put a legend between title and axes, where it hides no data and narrows no axes."""
    axes.figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=columns,
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
    names: Sequence[Any] = (),
) -> None:
    """Draw markers with interval lines at given places along the other axis.

    Values lie along the vertical axis, or the `horizontal` one; a thin line
    joins them where they are `joined`. Pointing at a marker shows its name, if
    any, its label and its value.
    """
    value, low, high = (frame[column].cast(pl.Float64).to_numpy() for column in columns)
    bounds = np.nan_to_num(np.vstack([value - low, high - value])).clip(0)
    given = {"x": value, "y": places, "xerr": bounds}
    if not horizontal:
        given = {"x": places, "y": value, "yerr": bounds}
    colour, marker = style
    drawn = axes.errorbar(
        **given, fmt=marker, color=colour, markersize=4.5, elinewidth=1.3, label=label,
        clip_on=False,
    )  # fmt: skip
    form = ".1%" if columns[0] in ("share", "score", "observed") else ".4g"
    named = names or [""] * len(value)
    texts = [
        ", ".join(filter(None, (str(name), label)))
        + f": {x:{form}} ({from_:{form}} to {to:{form}})".replace("%", " %")
        for name, x, from_, to in zip(named, value, low, high, strict=True)
    ]
    if drawn.lines[0] is not None:
        drawn.lines[0].set_gid(tips(texts))
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
    a null or NaN value and all beyond the first `FOLD` are left out. Rows of several
    `series`, a column too, stand beside each other in their `styles`. A line marks
    the `reference`, where there is no effect; `along` names the horizontal axis.
    """
    names = frame[label].unique(maintain_order=True).head(FOLD).to_list()
    frame = frame.filter(pl.col(label).is_in(names))
    kinds = [None] if series is None else frame[series].unique(maintain_order=True).to_list()
    spread = min(0.26, 0.72 / len(kinds))
    for index, kind in enumerate(kinds):
        part = frame if series is None else frame.filter(pl.col(series) == kind)
        shown = part.filter(pl.col(columns[0]).is_finite())
        style = (BLUE, "o") if kind is None else (styles or {}).get(kind, SERIES[index % 4])
        heights = np.array([names.index(name) for name in shown[label]], float)
        heights += (index - (len(kinds) - 1) / 2) * spread
        interval(axes, heights, shown, columns, style=style, label=kind, horizontal=True,
                 names=[shortened(str(name)) for name in shown[label]])  # fmt: skip
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    name_rows(axes, names, along)
    if series is not None:
        legend_above(axes, legend_columns)


def side_by_side(frame: pl.DataFrame, label: str, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Return ``label, kind, value, low, high``: the columns ``x, x_low, x_high`` of each kind x.

    Kinds are named as `kinds` says.
    """
    return pl.concat(
        frame.select(
            label,
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
    bars_drawn = axes.barh(range(len(names)), values, color=SKY, height=0.7)
    for bar, name, text in zip(bars_drawn, names, texts, strict=True):
        bar.set_gid(tips([f"{shortened(str(name))}: {text}"]))
    for place, (text, end) in enumerate(zip(texts, ends, strict=True)):
        axes.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=9)  # fmt: skip
    name_rows(axes, names, along)


def shaded(
    axes: Axes, shares: Any, names: Sequence[str], texts: Sequence[str], tilt: float = 0.0
) -> None:
    """Draw a square table of shares, the darker the greater, with a text in each cell."""
    for ((row, column), share), text in zip(np.ndenumerate(shares), texts, strict=True):
        shade = 0.6 * float(np.nan_to_num(share)) / max(float(np.nanmax(shares)), 1e-9)
        cell = axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=BLUE, alpha=shade, linewidth=0)
        )
        cell.set_gid(tips([f"{names[row]}, {names[column]}: {percent(float(share), 1)}"]))
        axes.text(column, row, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.set_xticks(range(len(names)), names, rotation=tilt, ha="right" if tilt else "center")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
