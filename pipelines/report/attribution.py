"""Figures of what the model looks at: attribution to families and features, dependence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from featlab.columns import parities
from models.analysis.attribution import grouped_attribution, partial_dependence
from pipelines.report import charts
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, VERMILLION
from pipelines.report.words import outcome_name, percent, share_text, shortened, whole

SECTION = "What the model looks at"

MOST_FEATURES = 25
MOST_CURVES = 10
MOVED_ROWS = 200
"""Battles on which a column is moved, the same for every model."""

STYLES = {"contribution": (BLUE, "o"), "gain": (VERMILLION, "s")}
LINES = {"a": "-", "b": "--", "tie": ":"}


def _words(name: str) -> str:
    return name.replace("__", ": ").replace("_", " ")


def _grouped(data: RunData, group_of: Mapping[str, str]) -> pl.DataFrame:
    battles = sum(len(rows) for rows in data.attributed_rows.values())
    frame = grouped_attribution(data.attribution, group_of)
    return frame.with_columns(battles=battles, models=len(data.models))


def _plot(frame: pl.DataFrame, title: str, each: float, around: float) -> Plot:
    top, row = frame.head(MOST_FEATURES), frame.row(0, named=True)

    def draw(axes: Axes) -> None:
        long = charts.side_by_side(top, "group", {kind: kind for kind in STYLES})
        bounds = ("value", "low", "high")
        charts.dots(axes, long, "group", bounds, series="kind", styles=STYLES, along="")
        axes.set_xlim(left=0)
        charts.percent_axis(axes.xaxis, "share of all")

    return Plot(
        frame,
        title,
        "The trees, one of the two members of the ensemble: shares of all gain in training, and "
        f"of the mean absolute TreeSHAP contribution to predictions of n = {whole(row['battles'])} "
        f"held-out battles. Bars: least to greatest of {row['models']} fold models.",
        draw,
        charts.rows_height(len(top), each, around),
    )


@figure(SECTION)
def importance_of_families(data: RunData) -> Plot:
    """Show how much each family of columns moves predictions."""
    frame = _grouped(data, {column.name: column.family for column in data.columns})
    first, second = frame.row(0, named=True), frame.row(min(1, len(frame) - 1), named=True)
    title = (
        f"The largest share of all contributions, {share_text(first, 'contribution')}, is that of "
        f"{first['group']}, then {second['group']}, {share_text(second, 'contribution')}"
    )
    return _plot(frame, title, 0.24, 1.8)


@figure(SECTION)
def importance_of_features(data: RunData) -> Plot:
    """Show how much each feature moves predictions."""
    frame = _grouped(data, {column.name: column.feature for column in data.columns})
    names = [_words(name) for name in frame["group"].head(3)]
    title = (
        f"Of {len(frame)} features, {', '.join(names)} move predictions most; {names[0]}: "
        f"{share_text(frame.row(0, named=True), 'contribution')} of all contributions"
    )
    return _plot(frame, title, 0.19, 1.9)


@figure(SECTION, name="partial_dependence")
def dependence(data: RunData) -> Plot:
    """Show how predictions move with one column."""
    itself = {column.name: column.name for column in data.columns}
    strongest = grouped_attribution(data.attribution, itself).filter(pl.col("contribution") > 0)
    chosen = strongest["group"].head(MOST_CURVES).to_list()
    if not chosen:
        raise LeftOut("the trees split on no column")
    each = max(1, MOVED_ROWS // len(data.models))
    rows = np.concatenate([rows[:each] for rows in data.attributed_rows.values()])
    given, swapped = data.rows
    moved = (given[rows], swapped[rows])
    frame = partial_dependence(data.tree_predictions, moved, parities(data.columns), chosen)
    names = frame["column"].unique(maintain_order=True).to_list()
    low, high = (getattr(pl.col("probability"), end)().alias(end) for end in ("min", "max"))
    reach = frame.filter(pl.col("outcome") == "a").group_by("column", maintain_order=True)
    widest = reach.agg(low, high).sort(pl.col("max") - pl.col("min"), descending=True)
    name, least, greatest = widest.row(0)
    panels = ((len(names) + 1) // 2, 2)

    def draw(*panels: Axes) -> None:
        for axes, column in zip(panels, names, strict=False):
            for outcome, (colour, _) in charts.OUTCOME_STYLES.items():
                part = frame.filter(pl.col("column") == column, pl.col("outcome") == outcome)
                if part.is_empty():
                    continue
                line, label = LINES[outcome], outcome_name(outcome)
                axes.plot(part["value"], part["probability"], color=colour, ls=line, label=label)
                axes.fill_between(
                    part["value"], part["low"], part["high"], color=colour, alpha=0.18
                )
            axes.set_xlabel(shortened(_words(column), 42), fontsize=7)
            charts.percent_axis(axes.yaxis)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.tick_params(labelsize=6.5)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        charts.legend_above(panels[0])

    return Plot(
        frame,
        f"Moving {_words(name)} alone takes P(A) from {percent(least)} to {percent(greatest)}, "
        "more than any other of the ten strongest columns",
        "The trees, one of the two members of the ensemble: mean probability when one column is "
        f"set to each value and everything else stays, n = {whole(len(rows))} battles, both "
        "orders. Bands: least to greatest of the fold models. Columns that move together are "
        "moved one at a time.",
        draw,
        1.3 + 1.35 * panels[0],
        panels,
    )
