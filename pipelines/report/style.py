"""Figures of what a response's length, punctuation and newlines have to do with the vote."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from models.analysis.counts import outcomes_by_length_ratio
from models.analysis.differences import (
    LENGTH,
    difference_histogram,
    more_wins,
    side_values,
    winner_less_loser,
)
from models.analysis.effects import feature_effects
from pipelines.report import charts
from pipelines.report.battles import WILSON
from pipelines.report.figure import Figure, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.theme import GREY, SERIES, VERMILLION
from pipelines.report.words import percent, share_text, whole

SECTION = "Length, punctuation, newlines"

COMPARED = {LENGTH: "characters", "marks": "punctuation marks", "newlines": "newlines"}
"""Feature -> its name in words: the three that are said to play no role."""

PROMPT_BINS = 5
MOST_EFFECTS = 24
FARTHEST_ODDS = 6.0
"""Where the axis of odds ratios ends, either way, unless an effect lies beyond."""


def _difference(feature: str) -> Figure:
    name = COMPARED[feature]

    @figure(SECTION, name=f"{feature}_difference")
    def show(data: RunData) -> Plot:
        a, b = side_values(data.text, feature)
        more = more_wins(a, b, data.labels).row(0, named=True)
        shares = {key: more[key] for key in ("share", "low", "high", "wins")}
        frame = difference_histogram(winner_less_loser(a, b, data.labels))
        frame = frame.with_columns(**shares, differing=more["of"])
        row = frame.row(0, named=True)
        verb = "wins" if row["low"] > 0.5 else "wins only" if row["high"] < 0.5 else "wins about"
        median, low, high = (
            f"{row[key]:+z,.0f}" for key in ("median", "median_low", "median_high")
        )

        def draw(axes: Axes) -> None:
            charts.histogram(axes, frame, "from_value", "to_value", "battles", "decisive battles")
            axes.axvline(0, color=GREY, linewidth=0.9, linestyle="--")
            axes.axvspan(row["median_low"], row["median_high"], color=VERMILLION, alpha=0.25, lw=0)
            axes.axvline(row["median"], color=VERMILLION, linewidth=1.4, label="median")
            charts.legend_above(axes)
            axes.set_xlabel(f"{name}, winner less loser")

        return Plot(
            frame,
            f"The response with more {name} {verb} {share_text(row, digits=1)} of decisive battles",
            f"n = {row['of']:,} decisive battles, {row['differing']:,} of them with different "
            f"counts; median difference {median} (95 % {low} to {high}) {name}, winner less loser. "
            "Outermost bars hold what lies beyond. The share's interval is Wilson's.",
            draw,
        )

    return show


characters_difference = _difference(LENGTH)
marks_difference = _difference("marks")
newlines_difference = _difference("newlines")


@figure(SECTION)
def differences_by_prompt_length(data: RunData) -> Plot:
    """Show how often the response with more wins, by the prompt's length."""
    prompt = data.text["prompt__characters"].cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(prompt, np.linspace(0, 1, PROMPT_BINS + 1)))
    place = np.clip(np.searchsorted(edges, prompt, side="right") - 1, 0, max(len(edges) - 2, 0))
    tables = []
    for feature, name in COMPARED.items():
        a, b = side_values(data.text, feature)
        table = more_wins(a, b, data.labels, place)
        middles = []
        for own in (place == number for number in table["bin"]):
            differences = winner_less_loser(a[own], b[own], data.labels[own])
            median = float(np.median(differences)) if len(differences) else float("nan")
            middles.append((name, median, float(np.median(prompt[own]))))
        names = ["more", "median_difference", "prompt_characters"]
        tables.append(table.hstack(pl.DataFrame(middles, names, orient="row")))
    frame = pl.concat(tables)
    longer = frame.filter(pl.col("more") == COMPARED[LENGTH])

    def draw(axes: Axes) -> None:
        for index, name in enumerate(COMPARED.values()):
            part = frame.filter(pl.col("more") == name)
            places = np.maximum(part["prompt_characters"].to_numpy() * (0.96 + 0.04 * index), 1)
            style, label = SERIES[index + 1], f"more {name}"
            charts.interval(axes, places, part, style=style, label=label, joined=True)
        axes.axhline(0.5, color=GREY, linewidth=0.9, linestyle="--")
        charts.log_counts(axes, "characters of the prompt, median of each fifth")
        charts.percent_axis(axes.yaxis, "share of decisive battles won")
        charts.legend_above(axes)

    return Plot(
        frame,
        f"The longer response wins {percent(longer['share'][0])} after the shortest prompts and "
        f"{percent(longer['share'][-1])} after the longest",
        "Share of decisive battles won by the response with more of each, n = "
        f"{whole(longer['of'].sum())} with different lengths, in fifths by the prompt's length. "
        f"{WILSON}",
        draw,
    )


@figure(SECTION, name="outcomes_by_length_ratio")
def by_length_ratio(data: RunData) -> Plot:
    """Show the outcomes by how much longer one response is."""
    frame = outcomes_by_length_ratio(*side_values(data.text, LENGTH), data.labels)
    a, tie = (frame.filter(pl.col("outcome") == name)["share"].to_list() for name in ("a", "tie"))
    title = f"A wins {percent(a[0])} where it is much shorter and {percent(a[-1])} where "
    if tie and max(tie) == tie[2]:
        title += f"much longer; ties peak at {percent(max(tie))} at like lengths"
    else:
        title += "it is much longer"

    def draw(axes: Axes) -> None:
        bins = frame.filter(pl.col("outcome") == "a").select("bin", "range").rows()
        charts.by_outcome(axes, frame, range(len(bins)))
        axes.set_xticks(range(len(bins)), ["\n".join(row) for row in bins], fontsize=6.5)
        charts.percent_axis(axes.yaxis, "share of battles")
        axes.set_xlabel("log(characters of A / characters of B)")
        charts.legend_above(axes)

    note = f"n = {whole(frame['battles'].sum())} battles. {WILSON}"
    return Plot(frame, title, note, draw)


@figure(SECTION)
def style_effects(data: RunData) -> Plot:
    """Show by how much each feature moves the vote, alone and at equal length."""
    frame = feature_effects(data.text, data.labels, data.groups)
    known = {row["feature"]: row for row in frame.to_dicts()}
    said = []
    for row, name in ((known[key], name) for key, name in COMPARED.items() if key in known):
        equal = row["at_equal_length"]
        said.append(f"{name} ×{row['alone']:.2f}")
        said[-1] += "" if equal is None else f" (×{equal:.2f} at equal length)"
    clear = frame.filter((pl.col("alone_low") > 1) | (pl.col("alone_high") < 1))

    def draw(axes: Axes) -> None:
        kept, size = pl.col("feature").is_in(list(COMPARED)), pl.col("alone").log().abs()
        strongest = frame.sort(kept, size, descending=True).head(MOST_EFFECTS)
        kinds = {"alone": "alone", "at_equal_length": "at equal length"}
        long = charts.side_by_side(strongest.sort("alone", descending=True), "feature", kinds)
        bounds = ("value", "low", "high")
        along = "odds of being preferred"
        charts.dots(axes, long, "feature", bounds, series="kind", reference=1.0, along=along)
        axes.set_xscale("log")
        sizes = np.abs(np.log(long["value"].drop_nulls().to_numpy()))
        reach = max(FARTHEST_ODDS, 1.1 * float(np.exp(sizes.max(initial=0.0))))
        low, high = (float(np.clip(end, 1 / reach, reach)) for end in axes.get_xlim())
        axes.set_xlim(low, high)
        fine, coarse = (0.25, 0.5, 0.75, 1, 1.5, 2, 3), (0.2, 0.5, 1, 2, 5)
        ticks = [tick for tick in (fine if high < 8 * low else coarse) if low <= tick <= high]
        axes.set_xticks(ticks, [f"×{tick:g}" for tick in ticks])
        axes.minorticks_off()

    battles = frame["battles"].max() if len(frame) else 0
    by_chance = max(1, round(len(frame) / 20))
    return Plot(
        frame,
        f"{len(clear)} of {len(frame)} features move the vote; odds for one standard deviation: "
        + ", ".join(said),
        "Odds ratios of winning for one standard deviation more than the other response, n = "
        f"{whole(battles)} decisive battles, features that differ in 20 or more. Logarithms of "
        "counts. At equal length: with the log length ratio in the regression. The "
        f"{MOST_EFFECTS} strongest are drawn, their bars as far as the axis goes; the CSV holds "
        f"all. Bars: 95 %, robust to repeated prompts, not adjusted for {len(frame)} "
        f"looks: about {by_chance} would miss 1 by chance alone.",
        draw,
        charts.rows_height(min(len(frame), MOST_EFFECTS), 0.19, 1.9),
    )
