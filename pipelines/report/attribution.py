"""Figures of what the model looks at: attribution to families and features, dependence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from featlab.columns import parities
from featlab.features.pairing import LOG_DIFFERENCE
from models.analysis.attribution import grouped_attribution, partial_dependence
from pipelines.report import charts
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, VERMILLION
from pipelines.report.words import (
    outcome_name,
    percent,
    share_text,
    shortened,
    spaced,
    whole,
)

SECTION = "What the model looks at"

MOST_CURVES = 6
MOVED_ROWS = 200
"""Battles on which a column is moved, the same for every model."""

STYLES = {"contribution": (BLUE, "o"), "gain": (VERMILLION, "s")}
LINES = {"a": "-", "b": "--", "tie": ":"}


def _importance(data: RunData, group_of: Mapping[str, str], what: str) -> Plot:
    """Return the shares of groups of columns, the strongest first."""
    battles, models = sum(map(len, data.attributed_rows.values())), len(data.models)
    frame = grouped_attribution(data.attribution, group_of)
    frame = frame.with_columns(battles=battles, models=models)
    top, first = frame.head(charts.FOLD), frame.row(0, named=True)
    named = top.with_columns(pl.col("group").str.replace_all("_+", " "))

    def draw(axes: Axes) -> None:
        long = charts.side_by_side(named, "group", {kind: kind for kind in STYLES})
        charts.dots(axes, long, "group", charts.VALUE, series="kind", styles=STYLES, along="")
        axes.set_xlim(left=0)
        charts.percent_axis(axes.xaxis, "share of all")

    return Plot(
        frame,
        f"Of {len(frame)} {what}, {', '.join(named['group'].head(3))} move predictions most; the "
        f"first makes {share_text(first, 'contribution')} of all contributions",
        "The trees, one of the two members of the ensemble: shares of all gain in training, and "
        f"of the mean absolute TreeSHAP contribution to predictions of n = {whole(battles)} "
        f"held-out battles. Bars: least to greatest of {models} fold models."
        + charts.folded(len(frame)),
        draw,
        charts.rows_height(len(top), 0.25, 0.9),
    )


@figure(SECTION)
def importance_of_families(data: RunData) -> Plot:
    """Show how much each family of columns moves predictions."""
    return _importance(data, {each.name: each.family for each in data.columns}, "families")


@figure(SECTION)
def importance_of_features(data: RunData) -> Plot:
    """Show how much each feature moves predictions."""
    return _importance(data, {each.name: each.feature for each in data.columns}, "features")


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
            axes.set_xlabel(shortened(spaced(column).replace("log difference", "ratio"), 28))
            charts.percent_axis(axes.yaxis)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            if column.endswith(LOG_DIFFERENCE.name):
                charts.ratio_axis(axes.xaxis)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        charts.legend_above(panels[0])

    return Plot(
        frame,
        f"Moving {spaced(name)} alone takes P(A) from {percent(least)} to {percent(greatest)}, "
        "more than any other of the strongest columns",
        "The trees, one of the two members of the ensemble: mean probability when one column is "
        f"set to each value and everything else stays, n = {whole(len(rows))} battles, both "
        "orders. Bands: least to greatest of the fold models. Columns that move together are "
        "moved one at a time.",
        draw,
        0.4 + 1.5 * panels[0],
        panels,
    )
