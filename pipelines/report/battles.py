"""Figures of the battles themselves: outcomes, models, turns, languages, oddities; the models."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from featlab.battles import OUTCOMES
from models.analysis import counts
from models.analysis.strengths import FEWEST, families_of, leaderboard, pair_records
from pipelines.report import charts
from pipelines.report.figure import NAMES, LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, VERMILLION
from pipelines.report.words import outcome_name, percent, share_text, shortened, whole

SECTION = "The battles"
WILSON = "Bars: 95 % Wilson intervals."

STRENGTH = ("strength", "strength_low", "strength_high")
STRENGTH_RESAMPLES = 200

MOST_PAIRED = 12
FEWEST_PAIRED = 8
"""Decisive battles that two names must have for a cell of who beats whom."""


@figure(SECTION)
def composition(data: RunData) -> Plot:
    """Show outcomes, turns and languages."""
    number, stated = data.battles["turns"], data.battles["language"]
    shown = pl.when(number > 3).then(pl.lit("4 turns or more"))
    shown = shown.otherwise(
        pl.format("{} turn{}", number, pl.when(number > 1).then(pl.lit("s")).otherwise(pl.lit("")))
    )
    spoken, told = stated.fill_null("not stated"), ""
    if stated.null_count() == len(stated):
        spoken, told = (
            counts.prompt_language(data.text),
            " Languages by letters and frequent words.",
        )
    outcomes = counts.outcome_counts(data.labels).with_columns(
        value=pl.col("outcome").replace_strict({name: outcome_name(name) for name in OUTCOMES})
    )
    turns = counts.counted(pl.select(shown).to_series(), "value").sort("value")
    parts = {"outcome": outcomes, "turns": turns, "language": counts.counted(spoken, "value")}
    frame = pl.concat(
        part.select(
            pl.lit(kind).alias("kind"),
            "value",
            pl.col("battles", "of").cast(pl.Int64),
            "share",
            "low",
            "high",
        )
        for kind, part in parts.items()
    )
    a, b, tie = (percent(share) for share in outcomes["share"])
    single = percent(turns["share"][0]) if turns["value"][0].startswith("1 ") else "none"
    return _shares(
        frame,
        f"A wins {a} of battles, B {b}, and {tie} are ties; {single} are a single turn",
        f"n = {whole(len(data.labels))} battles. {WILSON}{told}",
        "value",
    )


@figure(SECTION, NAMES)
def strengths(data: RunData) -> Plot:
    """Show the leaderboard."""
    named = pl.Series(data.named)
    battles, text = data.battles.filter(named), data.text.filter(named)
    groups, seed = data.groups[data.named], data.training.seed
    frame = leaderboard(battles, text, groups, STRENGTH_RESAMPLES, seed)
    known = frame.filter(~pl.col("few"))
    if len(known) < 2:
        raise LeftOut(f"fewer than two models have {FEWEST} battles")
    best, worst = known.row(0, named=True), known.row(-1, named=True)
    odds = [
        np.exp(best[f"strength{one}"] - worst[f"strength{other}"])
        for one, other in (("", ""), ("_low", "_high"), ("_high", "_low"))
    ]
    first, second = "as voted", "at equal length and markdown"

    def draw(axes: Axes) -> None:
        bounds = ("value", "low", "high")
        moved = pl.col("style_controlled")
        long = pl.concat(
            known.select("model", pl.lit(kind).alias("kind"), *columns)
            for kind, columns in (
                (
                    first,
                    [pl.col(name).alias(to) for name, to in zip(STRENGTH, bounds, strict=True)],
                ),
                (second, [moved.alias(to) for to in bounds]),
            )
        )
        styles = {first: (BLUE, "o"), second: (VERMILLION, "d")}
        charts.dots(axes, long, "model", bounds, series="kind", styles=styles, reference=0,
                    along="strength (log-odds, mean 0)", legend_columns=2)  # fmt: skip

    return Plot(
        frame,
        f"{shortened(best['model'])} is the strongest of {len(known)} models: the odds are "
        f"{odds[0]:.0f} to 1 ({max(odds[1], 0):.1f} to {odds[2]:.0f}) that it beats "
        f"{shortened(worst['model'])}",
        f"n = {whole(len(battles))} battles. Davidson's model, Bradley-Terry with ties, shrunk "
        f"towards 0; bars: 95 % over {STRENGTH_RESAMPLES} resamplings of prompts. Ranks as on "
        "Arena: from the number of models that are better for certain to that of those that may "
        f"be. Models of fewer than {FEWEST} battles have no rank. Diamonds: moved by what "
        "controlling for length, headers, bold and lists moves a regression of decisive votes."
        + charts.folded(len(known)),
        draw,
        charts.rows_height(len(known), frame=0.9),
        opened=True,
    )


@figure(SECTION, NAMES)
def pairs(data: RunData) -> Plot:
    """Show who beats whom: models, or their families where pairs of models met too seldom."""
    battles = data.battles.filter(pl.Series(data.named))
    sides = [battles["model_a"], battles["model_b"]]
    for what in ("models", "families"):
        if what == "families":
            sides = [families_of(side) for side in sides]
        names = pl.concat(sides).value_counts(sort=True).to_series().head(MOST_PAIRED).to_list()
        frame = pair_records(*sides, battles["label"].to_numpy())
        frame = frame.filter(pl.col("winner").is_in(names), pl.col("loser").is_in(names))
        often = frame.filter(pl.col("of") >= FEWEST_PAIRED)
        if len(often) > len(names) * (len(names) - 1) / 3:
            break
    if often.is_empty():
        raise LeftOut(f"no two models or families have {FEWEST_PAIRED} decisive battles")
    score = {name: often.filter(pl.col("winner") == name)["share"].mean() or 0.0 for name in names}
    names.sort(key=lambda name: -float(score[name]))  # type: ignore[arg-type]
    shares, texts = np.full((len(names), len(names)), np.nan), [""] * len(names) ** 2
    for row in often.to_dicts():
        place = names.index(row["winner"]), names.index(row["loser"])
        shares[place] = row["share"]
        texts[place[0] * len(names) + place[1]] = f"{100 * row['share']:.0f}"
    clear = often.sort(pl.col("low"), descending=True).row(0, named=True)

    def draw(axes: Axes) -> None:
        charts.shaded(axes, shares, [shortened(name, 20) for name in names], texts, 60)
        axes.set(xlabel="... over these", ylabel="decisive battles won by ...")

    return Plot(
        frame,
        f"The clearest pair: {shortened(clear['winner'])} wins {share_text(clear)} of decisive "
        f"battles with {shortened(clear['loser'])}",
        f"Per cent of decisive battles that the row wins over the column, among the {len(names)} "
        f"{what} seen most, n = {whole(often['of'].sum() / 2)}; pairs of fewer than "
        f"{FEWEST_PAIRED} are blank. The clearest of so many is partly luck. {WILSON}",
        draw,
        1.6 + 0.24 * len(names),
    )


def _shares(frame: pl.DataFrame, title: str, note: str, label: str) -> Plot:
    """Bars of shares with their intervals and counts, a row each value of a column."""
    drawn = frame.head(charts.FOLD)

    def draw(axes: Axes) -> None:
        texts = [whole(count) for count in drawn["battles"]]
        charts.bars(axes, drawn[label].to_list(), drawn["share"], texts, "", drawn["high"])
        charts.interval(axes, range(len(drawn)), drawn, style=charts.DARK, horizontal=True)
        axes.margins(x=0.14)
        charts.percent_axis(axes.xaxis, "share of battles")

    height = charts.rows_height(len(frame), frame=0.6)
    return Plot(frame, title, note + charts.folded(len(frame)), draw, height)


def _row(frame: pl.DataFrame, value: str) -> dict[str, Any]:
    rows = frame.filter(frame.to_series(0) == value).to_dicts()
    return rows[0] if rows else {"battles": 0, "share": 0.0, "low": 0.0, "high": 0.0}


@figure(SECTION)
def oddities(data: RunData) -> Plot:
    """Show how many battles naive code stumbles over."""
    frame = counts.oddities(data.battles).filter(pl.col("battles") > 0)
    if frame.is_empty():
        raise LeftOut("no battle has any of the oddities looked for: nulls, empty or equal texts")
    nulls = frame.filter(pl.col("oddity").str.ends_with("holds a null"))["battles"].sum()
    same = _row(frame, "responses are identical")["battles"]
    ties = _row(frame, "... and voted a tie")["battles"]
    title = f"{nulls:,} texts hold nulls; {same:,} battles have identical responses, {ties:,} of "
    note = f"n = {whole(len(data.labels))} battles. {WILSON}"
    return _shares(frame, title + "them voted a tie", note, "oddity")
