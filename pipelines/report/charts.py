"""The shapes that figures are made of: dots with intervals, bars, lines, shaded tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipelines.report.theme import BLUE, GREY, LABEL_LENGTH, ORANGE, SERIES, SKY
from pipelines.report.words import outcome_name, shortened

Bounds = tuple[str, str, str]
Style = tuple[str, str]
SHARE: Bounds = ("share", "low", "high")
LOSS: Bounds = ("log_loss", "low", "high")

OUTCOME_STYLES: dict[str, Style] = {"a": (BLUE, "o"), "b": (ORANGE, "s"), "tie": (GREY, "^")}


def percent_axis(axis: Axis) -> None:
    """Print an axis of shares in per cent, each tick to the digits that it has."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g} %"))


def log_counts(axes: Axes, along: str) -> None:
    """Make the horizontal axis one of counts on a log scale, with ticks that have room."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(along)


def rows_height(count: int, each: float = 0.24, frame: float = 1.3) -> float:
    """Return inches for a figure with a row each category."""
    return frame + each * max(count, 2)


def name_rows(axes: Axes, names: Sequence[Any], length: int = LABEL_LENGTH) -> None:
    """Name horizontal rows from top to bottom."""
    axes.set_yticks(range(len(names)), [shortened(str(name), length) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


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

    Parameters
    ----------
    axes : Axes
    places : array_like, shape (n,)
    frame : DataFrame
        A row each place.
    columns : tuple of three str
        Value, low, high.
    style : pair of str
        Colour and marker.
    label : str, optional
        In the legend.
    horizontal : bool
        The values lie along the horizontal axis.
    joined : bool
        A thin line joins the markers.
    """
    value, low, high = (frame[column].cast(pl.Float64).to_numpy() for column in columns)
    bounds = np.nan_to_num(np.vstack([value - low, high - value])).clip(0)
    drawn: Any = {"color": style[0], "markersize": 3.6, "elinewidth": 1.1, "label": label}
    if horizontal:
        axes.errorbar(value, places, xerr=bounds, fmt=style[1], **drawn)
    else:
        axes.errorbar(places, value, yerr=bounds, fmt=style[1], **drawn)
    if joined:
        axes.plot(places, value, color=style[0], linewidth=0.8, alpha=0.6)


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
    label_length: int = LABEL_LENGTH,
) -> None:
    """Draw values with their intervals, a row each category from top to bottom.

    Parameters
    ----------
    axes : Axes
    frame : DataFrame
        A row each category, and series where there are several.
    label : str
        Column of the categories, drawn in the order they come.
    columns : tuple of three str
        Value, low, high; null and NaN are left out.
    along : str
        Label of the horizontal axis.
    series : str, optional
        Column of the series, drawn beside each other.
    reference : float, optional
        Where a line marks "no effect".
    styles : mapping of str to Style, optional
        By series.
    legend_columns, label_length : int
    """
    names = frame[label].unique(maintain_order=True).to_list()
    position = {name: index for index, name in enumerate(names)}
    parts = {None: frame} if series is None else _parts(frame, series)
    spread = min(0.26, 0.72 / len(parts))
    for index, (kind, part) in enumerate(parts.items()):
        shown = part.filter(pl.col(columns[0]).is_finite())
        style = (BLUE, "o") if kind is None else (styles or {}).get(kind, SERIES[index % 4])
        heights = np.array([position[name] for name in shown[label]], float)
        heights += (index - (len(parts) - 1) / 2) * spread
        interval(axes, heights, shown, columns, style=style, label=kind, horizontal=True)
    if reference is not None:
        axes.axvline(reference, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    name_rows(axes, names, label_length)
    axes.set_xlabel(along)
    if series is not None:
        legend_above(axes, legend_columns)


def _parts(frame: pl.DataFrame, column: str) -> dict[Any, pl.DataFrame]:
    return {key[0]: part for key, part in frame.group_by(column, maintain_order=True)}


def side_by_side(frame: pl.DataFrame, label: str, kinds: Mapping[str, str]) -> pl.DataFrame:
    """Return a row each category and kind: ``label, kind, value, low, high``.

    Parameters
    ----------
    frame : DataFrame
        For each kind the columns ``kind, kind_low, kind_high``.
    label : str
        Column of the categories, whose underscores become spaces.
    kinds : mapping of str to str
        Kind -> its name in the legend.
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


def by_outcome(axes: Axes, frame: pl.DataFrame, places: Any) -> None:
    """Draw the shares of the three outcomes at the same places, a little apart."""
    for index, (outcome, style) in enumerate(OUTCOME_STYLES.items()):
        part = frame.filter(pl.col("outcome") == outcome)
        shifted = np.asarray(places) + (index - 1) * 0.1
        interval(axes, shifted, part, style=style, label=outcome_name(outcome), joined=True)


def bars(
    axes: Axes,
    names: Sequence[Any],
    values: Any,
    texts: Sequence[str],
    along: str,
    ends: Any = None,
) -> None:
    """Draw horizontal bars from top to bottom, each with a text at its end.

    Parameters
    ----------
    axes : Axes
    names : sequence
    values : array_like
    texts : sequence of str
    along : str
        Label of the horizontal axis.
    ends : array_like, optional
        Where the texts begin, if not at the end of the bars.
    """
    axes.barh(range(len(names)), values, color=SKY, height=0.7)
    for place, (text, end) in enumerate(zip(texts, values if ends is None else ends, strict=True)):
        axes.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=7)  # fmt: skip
    name_rows(axes, names, 36)
    axes.set_xlabel(along)


def histogram(axes: Axes, frame: pl.DataFrame, low: str, high: str, count: str) -> None:
    """Draw bars between two bounds, shares of all on the vertical axis."""
    left, width = frame[low], (frame[high] - frame[low]).to_numpy()
    axes.bar(left, frame[count] / frame[count].sum(), width=width, align="edge", color=SKY,
             edgecolor="white", linewidth=0.4)  # fmt: skip
    percent_axis(axes.yaxis)
    axes.grid(visible=False, axis="x")


def shaded(
    axes: Axes, shares: Any, names: Sequence[str], texts: Any, dark: float, **style: Any
) -> None:
    """Draw a square table of shares, shaded, with a text in each cell.

    Parameters
    ----------
    axes : Axes
    shares : float64 array, shape (k, k)
    names : sequence of str
        Of rows and columns.
    texts : sequence of str, length k * k
    dark : float
        Share above which a text is white.
    **style
        Of the texts.
    """
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(dark / 0.65, shares.max()), aspect="auto")
    for ((row, column), share), text in zip(np.ndenumerate(shares), texts, strict=True):
        colour = "white" if share > dark else "#111111"
        axes.text(column, row, text, ha="center", va="center", color=colour, **style)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
