"""Figures of the battles themselves: outcomes, models, turns, languages, oddities; the models."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from models.analysis import counts
from models.analysis.strengths import FEWEST, families_of, leaderboard, pair_records
from pipelines.report import charts
from pipelines.report.figure import NAMES, LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.words import outcome_name, percent, share_text, shortened, whole

SECTION = "The battles"
WILSON = "Bars: 95 % Wilson intervals."

SHARE = ("share", "low", "high")
TURNS = {1: "1 turn", 2: "2 turns", 3: "3 turns", 4: "4 turns or more", 0: "no turn"}

STRENGTH_RESAMPLES = 200

MOST_PAIRED = 12
FEWEST_PAIRED = 8
"""Decisive battles that two names must have for a cell of who beats whom."""


@figure(SECTION)
def composition(data: RunData) -> Plot:
    """Show outcomes, turns, languages, and what naive code stumbles over."""
    turns, spoken = data.battles["turns"], data.battles["language"].fill_null("not stated")
    number = pl.min_horizontal(turns, pl.lit(4)).replace_strict(TURNS)
    if (spoken == "not stated").all():
        spoken = counts.prompt_language(data.text)
    parts = {
        "outcome": counts.outcome_counts(data.labels),
        "turns": counts.counted(pl.select(number).to_series(), "turns"),
        "language": counts.counted(spoken, "language"),
        "oddity": counts.oddities(data.battles).filter(pl.col("battles") > 0),
    }
    whole_numbers = pl.col("battles", "of").cast(pl.Int64)
    frame = pl.concat(
        part.select(pl.lit(kind).alias("kind"), pl.nth(0).alias("value"), whole_numbers, *SHARE)
        for kind, part in parts.items()
    )
    outcomes = frame.filter(pl.col("kind") == "outcome")
    a, b, *tie = (percent(share) for share in outcomes["share"])
    ties = f"{tie[0]} are ties" if tie else "there are no ties"
    single = percent(float((turns == 1).to_numpy().mean()))
    drawn = frame.head(charts.FOLD)

    def draw(axes: Axes) -> None:
        names = [outcome_name(name) for name in outcomes["value"]]
        names += drawn["value"][len(names) :].to_list()
        texts = [whole(count) for count in drawn["battles"]]
        charts.bars(axes, names, drawn["share"], texts, "", drawn["high"])
        charts.interval(axes, range(len(drawn)), drawn, style=charts.DARK, horizontal=True)
        axes.margins(x=0.14)
        charts.percent_axis(axes.xaxis, "share of battles")

    return Plot(
        frame,
        f"A wins {a} of battles, B {b}, and {ties}; {single} are a single turn",
        f"n = {whole(len(data.labels))} battles. Languages as stated, or by letters and frequent "
        f"words. {WILSON}{charts.folded(len(frame))}",
        draw,
        charts.rows_height(len(frame), frame=0.6),
    )


@figure(SECTION, NAMES)
def strengths(data: RunData) -> Plot:
    """Show the leaderboard."""
    named = pl.Series(data.named)
    battles, text = data.battles.filter(named), data.text.filter(named)
    groups, seed = data.groups[data.named], data.training.seed
    fewest = min(FEWEST, len(battles) // 20)
    frame = leaderboard(battles, text, groups, STRENGTH_RESAMPLES, seed, fewest)
    known = frame.filter(~pl.col("few"))
    if len(known) < 2:
        raise LeftOut(f"fewer than two models have {fewest} battles")
    best, worst = known.row(0, named=True), known.row(-1, named=True)
    odds, least, most = (
        np.exp(best[f"strength{one}"] - worst[f"strength{other}"])
        for one, other in (("", ""), ("_low", "_high"), ("_high", "_low"))
    )

    def draw(axes: Axes) -> None:
        kinds = {"strength": "as voted", "style_controlled": "style held equal"}
        moved = {f"style_controlled_{end}": pl.col("style_controlled") for end in ("low", "high")}
        long = charts.side_by_side(known.with_columns(**moved), "model", kinds)
        along = "strength (log-odds, mean 0)"
        charts.dots(axes, long, "model", charts.VALUE, series="kind", reference=0, along=along)

    return Plot(
        frame,
        f"The strongest of {len(known)} models is {shortened(best['model'])}: the odds are "
        f"{odds:.0f} to 1 ({least:.1f} to {most:.0f}) that it beats {shortened(worst['model'])}",
        f"n = {whole(len(battles))} battles. Davidson's model, Bradley-Terry with ties, shrunk "
        f"towards 0; bars: 95 % over {STRENGTH_RESAMPLES} resamplings of prompts. Ranks as on "
        "Arena: from the number of models that are better for certain to that of those that may "
        f"be. Models of fewer than {fewest} battles have no rank. Squares: moved by what "
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
    for called in (sides, [families_of(side) for side in sides]):
        names = pl.concat(called).value_counts(sort=True).to_series().head(MOST_PAIRED).to_list()
        frame = pair_records(called[0], called[1], data.labels[data.named])
        frame = frame.filter(pl.col("winner").is_in(names) & pl.col("loser").is_in(names))
        often = frame.filter(pl.col("of") >= FEWEST_PAIRED)
        if len(often) > len(names) * (len(names) - 1) / 3:
            break
    if often.is_empty():
        raise LeftOut(f"no two models or families have {FEWEST_PAIRED} decisive battles")
    best = often.group_by("winner").agg(pl.col("share").mean()).sort("share", descending=True)
    names = best["winner"].to_list()
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
        f"names seen most, n = {whole(often['of'].sum() / 2)}; pairs of fewer than "
        f"{FEWEST_PAIRED} are blank. The clearest of so many is partly luck. {WILSON}",
        draw,
        1.6 + 0.24 * len(names),
    )
