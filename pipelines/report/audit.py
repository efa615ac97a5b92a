"""Figures of the bias audit: the votes beside the predictions, one order and both."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import PercentFormatter

from models.analysis.bias import BOTH_ORDERS, ONE_ORDER, VOTERS, audit
from models.analysis.model_strengths import expected_outcomes, family_scores
from models.evaluation.metrics import swap_asymmetry
from pipelines.report.charts import dots, rows_height
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, GREEN, GREY, VERMILLION
from pipelines.report.words import percent, share_text, whole

SECTION = "Bias audit"

STRENGTH = "strength, other folds"

STYLES = {
    VOTERS: (GREY, "o"),
    ONE_ORDER: (VERMILLION, "s"),
    BOTH_ORDERS: (BLUE, "D"),
    STRENGTH: (GREEN, "^"),
}


def _biases(data: RunData) -> pl.DataFrame:
    one, other = data.verdicts.one_order, data.verdicts.other_order
    return audit(data.text, data.verdicts).with_columns(
        pl.lit(swap_asymmetry(one, other)).alias("swap_asymmetry_one_order")
    )


def _biases_title(frame: pl.DataFrame) -> str:
    rows = {(row["bias"], row["who"]): row for row in frame.to_dicts()}
    first = rows["position", VOTERS]
    text = (
        f"Voters favour the side shown first in {share_text(first)} of decisive votes "
        f"(z = {first['z']:+.1f})"
    )
    if ("verbosity", VOTERS) in rows:
        voters, model = rows["verbosity", VOTERS], rows["verbosity", BOTH_ORDERS]
        text += (
            f", the longer one in {percent(voters['share'], 0)}; the model expects "
            f"{percent(model['share'], 0)}"
        )
    return text


def _biases_note(frame: pl.DataFrame) -> str:
    total = frame.filter(pl.col("bias") == "position")["battles"].max()
    asymmetry = frame["swap_asymmetry_one_order"][0]
    return (
        f"Share of decisive outcomes that goes to the response named, n = {whole(total)} battles; "
        "numbers: those where the question arises. Model: raw out-of-fold "
        f"predictions; exchanging the sides changes P(A) by {asymmetry:.4f} on average in one "
        "order, by exactly 0 in the mean of both. Bars: 95 %, Wilson's for votes, over prompts for "
        "predictions."
    )


def _draw_biases(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    named = frame.with_columns(
        pl.format("{} ({})", pl.col("bias"), pl.col("battles").first().over("bias")).alias("row")
    )
    dots(
        axes,
        named,
        "row",
        series="who",
        reference=0.5,
        percent=True,
        styles=STYLES,
        columns_of_legend=2,
    )
    axes.set_xlabel("share of decisive outcomes")


def _families(data: RunData) -> pl.DataFrame:
    named = data.named
    if not named.any():
        raise LeftOut("the training file names no models")
    battles = data.battles.filter(pl.Series(named))
    scores = family_scores(
        battles,
        data.labels[named],
        {
            STRENGTH: expected_outcomes(battles, data.folds[named]),
            ONE_ORDER: data.verdicts.one_order[named],
            BOTH_ORDERS: data.verdicts.both_orders[named],
        },
        data.groups[named],
    )
    if scores.is_empty():
        raise LeftOut("no family of models has 50 battles with other families")
    return scores


def _families_title(frame: pl.DataFrame) -> str:
    own = frame.filter(pl.col("who") == BOTH_ORDERS)
    high = own.sort("excess", descending=True).row(0, named=True)
    low = own.sort("excess").row(0, named=True)
    return (
        f"The model overrates {high['family']} by {_points(high)} and underrates "
        f"{low['family']} by {_points(low, -1)}"
    )


def _points(row: dict[str, float], sign: int = 1) -> str:
    low, high = sorted((sign * row["excess_low"], sign * row["excess_high"]))
    return f"{100 * sign * row['excess']:.0f} points ({100 * low:.0f} to {100 * high:.0f})"


def _families_note(frame: pl.DataFrame) -> str:
    counts = frame.filter(pl.col("who") == VOTERS)["battles"]
    return (
        "Mean score of a family of models against others: a win counts 1, a tie one half; "
        f"{whole(counts.min())} to {whole(counts.max())} battles a family. Strengths: "
        "Bradley-Terry with ties, fitted on the other folds, so the model names are known there "
        "and unknown to the model. Bars: 95 % over prompts, one family at a time."
    )


def _draw_families(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    named = frame.with_columns(
        pl.format("{} ({})", pl.col("family"), pl.col("battles")).alias("row")
    )
    dots(
        axes,
        named,
        "row",
        ("score", "low", "high"),
        series="who",
        reference=0.5,
        styles=STYLES,
        columns_of_legend=2,
    )
    axes.set_xlabel("mean score")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


FIGURES = (
    Figure(
        "biases",
        SECTION,
        _biases,
        _biases_title,
        _biases_note,
        _draw_biases,
        lambda frame: rows_height(frame["bias"].n_unique(), 0.34, 2.0),
    ),
    Figure(
        "families",
        SECTION,
        _families,
        _families_title,
        _families_note,
        _draw_families,
        lambda frame: rows_height(frame["family"].n_unique(), 0.32, 2.1),
    ),
)
"""In the order of the page."""
