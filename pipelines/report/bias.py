"""Figures of the bias audit: the votes beside the predictions, one order and both."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.axes import Axes

from models.analysis.bias import BOTH_ORDERS, ONE_ORDER, audit
from models.analysis.strengths import VOTERS, expected_outcomes, family_scores
from models.evaluation.metrics import swap_asymmetry
from pipelines.report import charts
from pipelines.report.figure import NAMES, LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.style import SECTION
from pipelines.report.theme import BLUE, GREEN, GREY, VERMILLION
from pipelines.report.words import errors_from, percent, share_text, whole

STRENGTH = "strength, other folds"

STYLES = {
    VOTERS: (GREY, "o"),
    ONE_ORDER: (VERMILLION, "s"),
    BOTH_ORDERS: (BLUE, "D"),
    STRENGTH: (GREEN, "^"),
}


def _draw(axes: Axes, frame: pl.DataFrame, label: str, columns: charts.Bounds, along: str) -> None:
    """Who says what, a row each category with the battles of its first line in brackets."""
    count = pl.col("battles").first().over(label)
    named = frame.with_columns(pl.format("{} ({})", pl.col(label), count).alias("row"))
    charts.dots(axes, named, "row", columns, series="who", reference=0.5, styles=STYLES, along="",
                legend_columns=2)  # fmt: skip
    charts.percent_axis(axes.xaxis, along)


@figure(SECTION)
def biases(data: RunData) -> Plot:
    """Show what votes and predictions lean on."""
    one, other = data.one_order, data.other_order
    asymmetry = swap_asymmetry(one, other)
    frame = audit(data.text, data.labels, data.groups, one, other)
    frame = frame.with_columns(swap_asymmetry_one_order=asymmetry)
    rows = {(row["bias"], row["who"]): row for row in frame.to_dicts()}
    first = rows["position", VOTERS]
    title = f"The side shown first wins {share_text(first)} of decisive votes"
    if ("verbosity", VOTERS) in rows:
        voters, model = rows["verbosity", VOTERS], rows["verbosity", BOTH_ORDERS]
        title = (
            f"The longer response wins {share_text(voters)} of decisive votes, and the model "
            f"expects {percent(model['share'])}; the side shown first: {percent(first['share'])}"
        )
    return Plot(
        frame,
        title,
        f"Share of decisive outcomes that goes to the response named, n = "
        f"{whole(first['battles'])} battles; numbers: those where the question arises. Model: raw "
        f"out-of-fold predictions; exchanging the sides changes P(A) by {asymmetry:.4f} on average "
        "in one order, by exactly 0 in the mean of both. Bars: 95 %, Wilson's for votes, over "
        "prompts for predictions.",
        lambda axes: _draw(axes, frame, "bias", charts.SHARE, "share of decisive outcomes"),
        charts.rows_height(frame["bias"].n_unique(), 0.4, 1.0),
        telling=max(abs(row["z"]) for row in (first, rows.get(("verbosity", VOTERS), first))),
    )


@figure(SECTION, NAMES)
def families(data: RunData) -> Plot:
    """Show what each family of models scores, and what it is expected to."""
    named = data.named
    battles = data.battles.filter(pl.Series(named))
    expectations = {
        STRENGTH: expected_outcomes(battles, data.folds[named]),
        ONE_ORDER: data.one_order[named],
        BOTH_ORDERS: data.both_orders[named],
    }
    frame = family_scores(battles, data.labels[named], expectations, data.groups[named])
    if frame.is_empty():
        raise LeftOut("no family of models has 50 battles with other families")
    own = frame.filter(pl.col("who") == BOTH_ORDERS).sort("excess")
    low, high = own.row(0, named=True), own.row(-1, named=True)
    counts = frame.filter(pl.col("who") == VOTERS)["battles"]
    return Plot(
        frame,
        f"The model overrates {high['family']} by {_points(high)} and underrates {low['family']} "
        f"by {_points(low, -1)}",
        "Mean score of a family of models against others: a win counts 1, a tie one half; n = "
        f"{whole(counts.min())} to {whole(counts.max())} battles a family. Strengths: "
        "Bradley-Terry with ties, fitted on the other folds, so the model names are known there "
        "and unknown to the model. Bars: 95 % over prompts, one family at a time.",
        lambda axes: _draw(axes, frame, "family", ("score", "low", "high"), "mean score"),
        charts.rows_height(frame["family"].n_unique(), 0.36, 1.1),
        telling=max(errors_from(0.0, row, "excess") for row in (low, high)),
    )


def _points(row: dict[str, Any], sign: int = 1) -> str:
    low, high = sorted((sign * row["excess_low"], sign * row["excess_high"]))
    return f"{100 * sign * row['excess']:.0f} points ({100 * low:.0f} to {100 * high:.0f})"
