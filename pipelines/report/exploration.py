"""Figures of the battles themselves: outcomes, models, lengths, style, tokens, oddities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, PercentFormatter

from featlab.battles import OUTCOMES
from models.analysis.data_quality import counted, oddities, prompt_language
from models.analysis.differences import difference_histogram, winner_less_loser
from models.analysis.effects import LENGTH, more_wins, side_values
from models.analysis.model_strengths import strength_table
from models.analysis.outcomes import model_records, outcome_counts, outcomes_by_length_ratio
from pipelines.report.charts import dots, histogram, interval, legend_above, rows_height, stacked
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.theme import (
    BLUE,
    GREY,
    OUTCOME_COLOURS,
    SERIES,
    SKY,
    VERMILLION,
    shortened,
)
from pipelines.report.tokens import token_lengths
from pipelines.report.words import percent, share_text, whole

BATTLES = "The battles"
STYLE = "Length, punctuation, newlines"

COMPARED = {LENGTH: "characters", "marks": "punctuation marks", "newlines": "newlines"}
"""Feature -> its name in words: the three that are said to play no role."""

PROMPT_BINS = 5
STRENGTH_RESAMPLES = 200
MOST_EFFECTS = 24
WILSON = "Bars: 95 % Wilson intervals."


# Outcomes


def _outcomes(data: RunData) -> pl.DataFrame:
    return outcome_counts(data.labels)


def _outcomes_title(frame: pl.DataFrame) -> str:
    a, b, tie = (row["share"] for row in frame.to_dicts())
    return f"A wins {percent(a)}, B {percent(b)}, and {percent(tie)} of battles are ties"


def _draw_outcomes(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    places = np.arange(len(frame))
    axes.bar(places, frame["share"], color=[OUTCOME_COLOURS[name] for name in frame["outcome"]])
    interval(axes, places, frame, colour="#222222", marker="none")
    for place, row in enumerate(frame.to_dicts()):
        axes.text(place, 0.02, f"{row['battles']:,}", ha="center", color="white", weight="bold")
    axes.set_xticks(places, ["A wins", "B wins", "tie"])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("share of battles")
    axes.grid(visible=False, axis="x")


# Models


def _named(data: RunData) -> pl.DataFrame:
    battles = data.battles.filter(pl.Series(data.named))
    if battles.is_empty():
        raise LeftOut("the training file names no models")
    return battles


def _usage_title(frame: pl.DataFrame) -> str:
    first = frame.row(0, named=True)
    return (
        f"{shortened(first['model'])} fights most often, {first['battles']:,} of "
        f"{whole(frame['battles'].sum() / 2)} battles, and wins {percent(first['share'], 0)} "
        f"({percent(first['low'], 0)} to {percent(first['high'], 0)}) of the decisive ones"
    )


def _draw_usage(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    parts = {name: frame[name].to_numpy() for name in ("wins", "ties", "losses")}
    stacked(axes, frame["model"].to_list(), parts, (BLUE, "#BBBBBB", VERMILLION))
    axes.set_xlabel("battles")
    legend_above(axes)


def _strengths(data: RunData) -> pl.DataFrame:
    return strength_table(
        _named(data), data.groups[data.named], STRENGTH_RESAMPLES, data.settings.seed
    )


def _strengths_title(frame: pl.DataFrame) -> str:
    best, worst = frame.row(0, named=True), frame.row(-1, named=True)
    odds = np.exp(best["strength"] - worst["strength"])
    return (
        f"{shortened(best['model'])} is the strongest of {len(frame)} models, by odds of "
        f"{odds:.0f} : 1 over {shortened(worst['model'])}"
    )


def _draw_strengths(canvas: Canvas, frame: pl.DataFrame) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    dots(left, frame, "model", reference=0.5, percent=True)
    left.set_xlabel("share of decisive\nbattles won")
    left.set_xlim(0, 1)
    dots(right, frame, "model", ("strength", "strength_low", "strength_high"), reference=0)
    right.set_xlabel("strength\n(log-odds, mean 0)")


# Differences of winner and loser


def _difference(feature: str, name: str) -> Figure:
    def numbers(data: RunData) -> pl.DataFrame:
        a, b = side_values(data.text, feature)
        more = more_wins(a, b, data.labels).row(0, named=True)
        return difference_histogram(winner_less_loser(a, b, data.labels)).with_columns(
            *(pl.lit(more[key]).alias(key) for key in ("share", "low", "high", "wins")),
            pl.lit(more["of"]).alias("differing"),
        )

    def title(frame: pl.DataFrame) -> str:
        row = frame.row(0, named=True)
        verb = "wins" if row["low"] > 0.5 else "wins only" if row["high"] < 0.5 else "wins about"
        return f"The response with more {name} {verb} {share_text(row)} of decisive battles"

    def note(frame: pl.DataFrame) -> str:
        row = frame.row(0, named=True)
        return (
            f"n = {row['of']:,} decisive battles, {row['differing']:,} of them with different "
            f"counts; median difference {row['median']:+,.0f} (95 % {row['median_low']:+,.0f} to "
            f"{row['median_high']:+,.0f}) {name}, winner less loser. Outermost bars hold what "
            "lies beyond. The share's interval is Wilson's."
        )

    def draw(canvas: Canvas, frame: pl.DataFrame) -> None:
        axes = canvas.subplots()
        histogram(axes, frame, "from_value", "to_value", "battles")
        row = frame.row(0, named=True)
        axes.axvline(0, color=GREY, linewidth=0.9, linestyle="--")
        axes.axvspan(row["median_low"], row["median_high"], color=VERMILLION, alpha=0.25, lw=0)
        axes.axvline(row["median"], color=VERMILLION, linewidth=1.4, label="median")
        legend_above(axes)
        axes.set_xlabel(f"{name}, winner less loser")
        axes.set_ylabel("share of decisive battles")

    return Figure(f"{feature}_difference", STYLE, numbers, title, note, draw)


# The same against the prompt's length


def _by_prompt_length(data: RunData) -> pl.DataFrame:
    prompt = data.text["prompt__characters"].cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(prompt, np.linspace(0, 1, PROMPT_BINS + 1)))
    place = np.clip(np.searchsorted(edges, prompt, side="right") - 1, 0, max(len(edges) - 2, 0))
    tables = []
    for feature, name in COMPARED.items():
        a, b = side_values(data.text, feature)
        table = more_wins(a, b, data.labels, place)
        medians = [
            float(np.median(winner_less_loser(a[own], b[own], data.labels[own])))
            if (data.labels[own] < 2).any()
            else float("nan")
            for own in (place == number for number in table["bin"])
        ]
        tables.append(
            table.with_columns(
                pl.lit(name).alias("more"),
                pl.Series("median_difference", medians),
                pl.Series(
                    "prompt_characters",
                    [float(np.median(prompt[place == n])) for n in table["bin"]],
                ),
            )
        )
    return pl.concat(tables)


def _by_prompt_length_title(frame: pl.DataFrame) -> str:
    longer = frame.filter(pl.col("more") == COMPARED[LENGTH]).to_dicts()
    return (
        f"The longer response wins {percent(longer[0]['share'], 0)} after the shortest prompts "
        f"and {percent(longer[-1]['share'], 0)} after the longest"
    )


def _draw_by_prompt_length(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    for index, name in enumerate(COMPARED.values()):
        part = frame.filter(pl.col("more") == name)
        colour, marker = SERIES[index + 1]
        places = part["prompt_characters"].to_numpy() * (1 + 0.04 * (index - 1))
        places = np.maximum(places, 1)
        interval(axes, places, part, colour=colour, marker=marker, label=f"more {name}")
        axes.plot(places, part["share"], color=colour, linewidth=0.8, alpha=0.6)
    axes.axhline(0.5, color=GREY, linewidth=0.9, linestyle="--")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("characters of the prompt, median of each fifth")
    axes.set_ylabel("share of decisive battles won")
    legend_above(axes)


# Outcomes by length ratio


def _by_ratio(data: RunData) -> pl.DataFrame:
    return outcomes_by_length_ratio(*side_values(data.text, LENGTH), data.labels)


def _by_ratio_title(frame: pl.DataFrame) -> str:
    a = frame.filter(pl.col("outcome") == "a")["share"].to_list()
    tie = frame.filter(pl.col("outcome") == "tie")["share"].to_list()
    return (
        f"A wins {percent(a[0], 0)} where it is much shorter and {percent(a[-1], 0)} where much "
        f"longer; ties peak at {percent(max(tie), 0)} at like lengths"
        if max(tie) == tie[2]
        else f"A wins {percent(a[0], 0)} where it is much shorter and {percent(a[-1], 0)} where "
        "it is much longer"
    )


def _draw_by_ratio(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    for index, outcome in enumerate(OUTCOMES):
        part = frame.filter(pl.col("outcome") == outcome)
        places = np.arange(len(part)) + (index - 1) * 0.1
        label = "tie" if outcome == "tie" else f"{outcome.upper()} wins"
        marker = ("o", "s", "^")[index]
        colour = OUTCOME_COLOURS[outcome]
        interval(axes, places, part, colour=colour, marker=marker, label=label)
        axes.plot(places, part["share"], color=colour, linewidth=0.8, alpha=0.6)
    names = frame.filter(pl.col("outcome") == "a")
    axes.set_xticks(
        range(len(names)),
        [f"{row['bin']}\n{row['range']}" for row in names.to_dicts()],
        fontsize=6.5,
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("log(characters of A / characters of B)")
    axes.set_ylabel("share of battles")
    legend_above(axes)


# Style effects


def _strongest_effects(frame: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("alone").log().abs()
    kept = pl.col("feature").is_in(list(COMPARED))
    strongest = frame.sort(kept, size, descending=True).head(MOST_EFFECTS)
    return strongest.sort("alone", descending=True)


def _effects_title(frame: pl.DataFrame) -> str:
    known = {row["feature"]: row for row in frame.to_dicts()}
    said = []
    for feature, name in COMPARED.items():
        if feature not in known:
            continue
        row = known[feature]
        text = f"{name} ×{row['alone']:.2f}"
        if row["at_equal_length"] is not None:
            text += f" (×{row['at_equal_length']:.2f} at equal length)"
        said.append(text)
    clear = frame.filter((pl.col("alone_low") > 1) | (pl.col("alone_high") < 1))
    return (
        f"{len(clear)} of {len(frame)} features move the vote; odds for one standard deviation: "
        + ", ".join(said)
    )


def _effects_note(frame: pl.DataFrame) -> str:
    battles = frame["battles"].max() if len(frame) else 0
    return (
        f"Odds ratios of winning for one standard deviation more than the other response, "
        f"n = {whole(battles)} decisive battles, features that differ in 20 or more. Logarithms of "
        "counts. At equal length: with the log length ratio in the regression. The "
        f"{MOST_EFFECTS} strongest are drawn; the CSV holds all. Bars: 95 %, robust to repeated "
        f"prompts, not adjusted for {len(frame)} looks: about {max(1, round(len(frame) / 20))} "
        "would miss 1 by chance alone."
    )


def _draw_effects(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    kinds = {"alone": "alone", "at_equal_length": "at equal length"}
    strongest = _strongest_effects(frame)
    long = pl.concat(
        strongest.select(
            pl.col("feature").str.replace_all("_", " "),
            pl.lit(label).alias("kind"),
            pl.col(kind).alias("odds"),
            pl.col(f"{kind}_low").alias("low"),
            pl.col(f"{kind}_high").alias("high"),
        )
        for kind, label in kinds.items()
    )
    dots(axes, long, "feature", ("odds", "low", "high"), series="kind", reference=1.0)
    axes.set_xscale("log")
    ticks = [tick for tick in (0.25, 0.5, 0.75, 1, 1.5, 2, 3) if _within(axes.get_xlim(), tick)]
    axes.set_xticks(ticks, [f"×{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("odds of being preferred")


def _within(bounds: tuple[float, float], value: float) -> bool:
    return bounds[0] <= value <= bounds[1]


# Turns, languages, oddities


def _turns(data: RunData) -> pl.DataFrame:
    turns = data.battles["turns"]
    shown = pl.when(turns > 5).then(pl.lit("6 or more")).otherwise(turns.cast(pl.String))
    return counted(pl.select(shown).to_series(), "turns").sort("turns")


def _languages(data: RunData) -> pl.DataFrame:
    stated = data.battles["language"]
    if stated.null_count() < len(stated):
        return counted(stated.fill_null("not stated"), "language").head(20)
    return counted(prompt_language(data.text), "language")


def _draw_shares(label: str) -> Callable[[Canvas, pl.DataFrame], None]:
    def draw(canvas: Canvas, frame: pl.DataFrame) -> None:
        axes = canvas.subplots()
        names = frame[label].cast(pl.String).to_list()
        places = np.arange(len(frame))
        axes.barh(places, frame["share"], color=SKY, height=0.7)
        interval(axes, places, frame, colour="#222222", marker="none", horizontal=True)
        for place, row in zip(places, frame.to_dicts(), strict=True):
            axes.annotate(
                f"{row['battles']:,}",
                (max(row["high"], row["share"]), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
        axes.set_yticks(places, [shortened(name, 36) for name in names])
        axes.set_ylim(len(frame) - 0.4, -0.6)
        axes.margins(x=0.12)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share of battles")

    return draw


def _share_of(frame: pl.DataFrame, column: str, value: str) -> dict[str, float]:
    rows = frame.filter(pl.col(column) == value).to_dicts()
    return rows[0] if rows else {"battles": 0, "share": 0.0, "low": 0.0, "high": 0.0}


def _turns_title(frame: pl.DataFrame) -> str:
    return f"{share_text(_share_of(frame, 'turns', '1'))} of battles have a single turn"


def _languages_title(frame: pl.DataFrame) -> str:
    first = frame.row(0, named=True)
    return f"{share_text(first)} of prompts: {shortened(str(first['language']))}"


def _oddities_title(frame: pl.DataFrame) -> str:
    nulls = sum(
        row["battles"] for row in frame.to_dicts() if str(row["oddity"]).endswith("holds a null")
    )
    same = _share_of(frame, "oddity", "responses are identical")["battles"]
    ties = _share_of(frame, "oddity", "... and voted a tie")["battles"]
    return (
        f"{nulls:,} texts hold nulls; {same:,} battles have identical responses, {ties:,} of them "
        "voted a tie"
    )


def _count_note(frame: pl.DataFrame) -> str:
    return f"n = {whole(frame['of'].max())} battles. {WILSON}"


FIGURES = (
    Figure("outcomes", BATTLES, _outcomes, _outcomes_title, _count_note, _draw_outcomes),
    Figure(
        "usage",
        BATTLES,
        lambda data: model_records(_named(data)),
        _usage_title,
        lambda frame: (
            f"n = {whole(frame['battles'].sum() / 2)} battles of {len(frame)} models; each battle "
            "counts for both. The CSV holds Wilson's interval of every share."
        ),
        _draw_usage,
        lambda frame: rows_height(len(frame), 0.135, 1.2),
    ),
    Figure(
        "strengths",
        BATTLES,
        _strengths,
        _strengths_title,
        lambda frame: (
            f"n = {whole(frame['battles'].sum() / 2)} battles. Left: 95 % Wilson intervals. Right: "
            "Davidson's model, Bradley-Terry with ties, shrunk towards 0; 95 % intervals over "
            f"{STRENGTH_RESAMPLES} resamplings of prompts."
        ),
        _draw_strengths,
        lambda frame: rows_height(len(frame), 0.145, 1.5),
    ),
    Figure(
        "turns",
        BATTLES,
        _turns,
        _turns_title,
        _count_note,
        _draw_shares("turns"),
        lambda frame: rows_height(len(frame), 0.24, 1.2),
    ),
    Figure(
        "languages",
        BATTLES,
        _languages,
        _languages_title,
        lambda frame: (
            f"n = {whole(frame['of'].max())} prompts, told by letters and frequent words unless "
            f"the file states the language. {WILSON}"
        ),
        _draw_shares("language"),
        lambda frame: rows_height(len(frame), 0.24, 1.2),
    ),
    Figure(
        "oddities",
        BATTLES,
        lambda data: oddities(data.battles),
        _oddities_title,
        _count_note,
        _draw_shares("oddity"),
        lambda frame: rows_height(len(frame), 0.24, 1.2),
    ),
    token_lengths(BATTLES),
    *(_difference(feature, name) for feature, name in COMPARED.items()),
    Figure(
        "differences_by_prompt_length",
        STYLE,
        _by_prompt_length,
        _by_prompt_length_title,
        lambda frame: (
            "Share of decisive battles won by the response with more of each, n = "
            f"{whole(frame.filter(pl.col('more') == COMPARED[LENGTH])['of'].sum())} with different "
            f"lengths, in fifths by the prompt's length. {WILSON}"
        ),
        _draw_by_prompt_length,
    ),
    Figure(
        "outcomes_by_length_ratio",
        STYLE,
        _by_ratio,
        _by_ratio_title,
        lambda frame: f"n = {whole(frame['battles'].sum())} battles. {WILSON}",
        _draw_by_ratio,
    ),
    Figure(
        "style_effects",
        STYLE,
        lambda data: data.effects,
        _effects_title,
        _effects_note,
        _draw_effects,
        lambda frame: rows_height(min(len(frame), MOST_EFFECTS), 0.19, 1.9),
    ),
)
"""In the order of the page."""
