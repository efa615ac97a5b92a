"""Figures of what a response's length, punctuation and newlines have to do with the vote."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from models.analysis.counts import outcomes_by_length_ratio
from models.analysis.differences import LENGTH, side_values
from pipelines.report import charts
from pipelines.report.battles import WILSON
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.words import errors_from, outcome_name, share_text, spaced, whole

SECTION = "Length, style and bias"

COMPARED = (LENGTH, "marks", "newlines")
"""The features that are said to play no role: drawn in any case."""

FARTHEST_ODDS = 6.0
"""Where the axis of odds ratios ends, either way, unless an effect lies beyond."""


@figure(SECTION, name="outcomes_by_length_ratio")
def by_length_ratio(data: RunData) -> Plot:
    """Show the outcomes by how much longer one response is."""
    frame = outcomes_by_length_ratio(*side_values(data.text, LENGTH), data.labels)
    frame = frame.filter(pl.col("of") > 0)
    of_a = frame.filter(pl.col("outcome") == "a")
    names, first, last = of_a["length_of_a"].to_list(), *of_a[[0, -1]].to_dicts()

    def draw(axes: Axes) -> None:
        for index, (outcome, style) in enumerate(charts.OUTCOME_STYLES.items()):
            part, label = frame.filter(pl.col("outcome") == outcome), outcome_name(outcome)
            if not part.is_empty():
                places = np.arange(len(names)) + 0.1 * index - 0.1
                charts.interval(axes, places, part, style=style, label=label, joined=True)
        axes.set_xticks(range(len(names)), [fill(name, 12) for name in names])
        charts.percent_axis(axes.yaxis, "share of battles")
        axes.set_xlabel("length of A as a multiple of B's")
        charts.legend_above(axes)

    return Plot(
        frame,
        f"A wins {share_text(first)} of battles where its length is {first['length_of_a']} of B's, "
        f"and {share_text(last)} where it is {last['length_of_a']}",
        f"n = {whole(frame['battles'].sum())} battles. {WILSON}",
        draw,
        telling=errors_from(first["share"], last),
    )


@figure(SECTION)
def style_effects(data: RunData) -> Plot:
    """Show by how much each feature moves the vote, alone and at equal length."""
    frame = data.effects
    clear = frame.filter((pl.col("alone_low") > 1) | (pl.col("alone_high") < 1))
    if clear.is_empty():
        raise LeftOut("no feature moves the vote by more than chance would")
    size = pl.col("alone").log().abs()
    first = clear.sort(size, descending=True).row(0, named=True)
    odds = [first[f"alone{end}"] for end in ("", "_low", "_high")]

    def draw(axes: Axes) -> None:
        kept = pl.col("feature").is_in(COMPARED)
        strongest = frame.sort(kept, size, descending=True).head(charts.FOLD)
        kinds = {"alone": "alone", "at_equal_length": "at equal length"}
        named = strongest.sort("alone", descending=True).with_columns(
            pl.col("feature").str.replace_all("_", " ")
        )
        long = charts.side_by_side(named, "feature", kinds)
        along = "odds of being preferred"
        charts.dots(axes, long, "feature", charts.VALUE, series="kind", reference=1.0, along=along)
        axes.set_xscale("log")
        sizes = np.abs(np.log(long["value"].drop_nulls().to_numpy()))
        reach = max(FARTHEST_ODDS, 1.1 * float(np.exp(sizes.max())))
        axes.set_xlim(*np.clip(axes.get_xlim(), 1 / reach, reach))
        charts.ratio_axis(axes.xaxis)

    by_chance = max(1, round(len(frame) / 20))
    return Plot(
        frame.select(pl.exclude("meaning"), "meaning"),
        f"{len(clear)} of {len(frame)} features move the vote, {spaced(first['feature'])} most: "
        "one standard deviation more makes the odds "
        f"×{odds[0]:.2f} ({odds[1]:.2f} to {odds[2]:.2f})",
        "Odds ratios of winning for one standard deviation more than the other response, n = "
        f"{whole(frame['battles'].max())} decisive battles, features that differ in 20 or more. "
        "Logarithms of counts. At equal length: with the log length ratio in the regression. The "
        f"{charts.FOLD} strongest are drawn, their bars as far as the axis goes; the CSV holds "
        f"all. Bars: 95 %, robust to repeated prompts, not adjusted for {len(frame)} "
        f"looks: about {by_chance} would miss 1 by chance alone.",
        draw,
        charts.rows_height(len(frame), 0.26, 0.9),
        telling=errors_from(0.0, dict(zip(charts.SHARE, np.log(odds).tolist(), strict=True))),
    )
