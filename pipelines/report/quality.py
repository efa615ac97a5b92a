"""Figures of how good the model is: losses, calibration, confusion, slices, learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from models.analysis.predictions import calibration_noise, confusion, reliability
from models.evaluation.metrics import expected_calibration_error, outcomes_of
from pipelines.report import charts
from pipelines.report.charts import LOSS
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.slices import PRIOR, loss_slices
from pipelines.report.theme import BLUE, GREY, VERMILLION
from pipelines.report.words import loss_text, outcome_name, percent, share_text, whole

SECTION = "How good the model is"

BEFORE, AFTER = "before calibration", "after calibration"
MEASURED, POWER_LAW = "measured", "power law"


@figure(SECTION)
def losses(data: RunData) -> Plot:
    """Show the loss of each signal, of the members and of the whole."""
    metrics, battles = data.metrics, len(data.labels)
    named = {PRIOR: metrics["prior"]}
    for name, values in metrics["signals"].items():
        named[f"{name} alone, untuned"] = values["after_calibration"]
    named |= {f"{name}, member of it": values for name, values in data.members.items()}
    for when in (BEFORE, AFTER):
        named[f"ensemble, {when}"] = metrics["ensemble"][when.replace(" ", "_")]
    frame = pl.DataFrame(
        {
            "predictor": name,
            **_bounds(values["log_loss"], *LOSS),
            **_bounds(values.get("accuracy", {}), "accuracy", "accuracy_low", "accuracy_high"),
            "calibration_error": values.get("expected_calibration_error"),
            "battles": battles,
        }
        for name, values in named.items()
    )
    prior, last = frame.row(0, named=True), frame.row(-1, named=True)
    along, reference = "log loss (nats), lower is better", prior["log_loss"]
    return Plot(
        frame,
        f"The ensemble reaches a log loss of {loss_text(last, form='.4f')}, the prior "
        f"{reference:.4f}",
        f"n = {whole(battles)} battles, out of fold, nats. Temperatures are cross-fitted. Dashed: "
        "the prior. Bars: 95 % over resampled prompts.",
        lambda axes: charts.dots(axes, frame, "predictor", LOSS, reference=reference, along=along),
        charts.rows_height(len(frame), 0.26, 1.4),
    )


def _bounds(estimate: Mapping[str, Any], *names: str) -> dict[str, float | None]:
    return {
        name: estimate.get(key) for name, key in zip(names, ("value", "low", "high"), strict=True)
    }


@figure(SECTION)
def added_by_signals(data: RunData) -> Plot:
    """Show what the ensemble loses without each signal."""
    if not data.metrics["without"]:
        raise LeftOut("the run has one signal only, so none can be left out")
    frame = pl.DataFrame(
        {
            "signal": name,
            **_bounds(values["gain"], "gain", "low", "high"),
            "log_loss_without": values["log_loss"],
            "battles": len(data.labels),
        }
        for name, values in data.metrics["without"].items()
    ).sort("gain", descending=True)
    first, unclear = frame.row(0, named=True), frame.filter(pl.col("low") <= 0)["signal"].to_list()
    bounds, along = ("gain", "low", "high"), "rise of the log loss without the signal (nats)"
    return Plot(
        frame,
        f"The {first['signal']} signal adds most: without it the log loss rises by "
        + loss_text(first, "gain", "+.4f")
        + (f"; no clear gain from {', '.join(unclear)}" if unclear else ""),
        f"n = {whole(len(data.labels))} battles, out of fold, nats, calibrated; paired "
        "differences, parameters kept. Bars: 95 % over resampled prompts.",
        lambda axes: charts.dots(axes, frame, "signal", bounds, reference=0, along=along),
        charts.rows_height(len(frame), 0.26, 1.5),
    )


@figure(SECTION, name="confusion")
def outcome_confusion(data: RunData) -> Plot:
    """Show what was predicted for what happened."""
    frame = confusion(data.calibrated, data.labels)
    right = frame.filter(pl.col("outcome") == pl.col("predicted"))
    ties = right.filter(pl.col("outcome") == "tie").to_dicts()
    found = f"; ties are found in {share_text(ties[0])}" if ties else ""
    texts = [
        share_text(row).replace(" (", "\n").replace(")", f"\n{row['battles']:,} battles")
        for row in frame.to_dicts()
    ]

    def draw(axes: Axes) -> None:
        shares = frame["share"].to_numpy().reshape(len(right), len(right))
        charts.shaded(axes, shares, ["A", "B", "tie"][: len(right)], texts, 0.65, 8)
        axes.set(xlabel="predicted", ylabel="voted")

    return Plot(
        frame,
        f"The likeliest outcome is right in "
        f"{percent(int(right['battles'].sum()) / len(data.labels), 1)} of battles{found}",
        f"Share of each row, n = {whole(frame['battles'].sum())} battles, out of fold. Ranges: "
        "95 % Wilson intervals.",
        draw,
    )


@figure(SECTION, name="reliability")
def stated_and_observed(data: RunData) -> Plot:
    """Show how often what was stated happened, before and after calibration."""
    stages = {BEFORE: data.both_orders, AFTER: data.calibrated}
    before, after = (expected_calibration_error(stated, data.labels) for stated in stages.values())
    low, high = calibration_noise(data.calibrated, data.training.seed)
    frame = pl.concat(
        reliability(stated, data.labels).with_columns(
            when=pl.lit(when), calibration_error=error, noise_low=low, noise_high=high
        )
        for (when, stated), error in zip(stages.items(), (before, after), strict=True)
    )
    verdict = "no more than" if after <= high else "above"
    shown = outcomes_of(data.calibrated)

    def draw(*panels: Axes) -> None:
        for axes, outcome in zip(panels, shown, strict=True):
            axes.axline((0, 0), slope=1, color=GREY, linewidth=0.9, linestyle="--")
            for when, style in ((BEFORE, (VERMILLION, "s")), (AFTER, (BLUE, "o"))):
                part = frame.filter(pl.col("outcome") == outcome, pl.col("when") == when)
                bounds = ("observed", "low", "high")
                charts.interval(axes, part["stated"], part, bounds, style=style, label=when)
            axes.set_title(outcome_name(outcome), fontsize=8)
            charts.percent_axis(axes.xaxis, "stated probability" if axes is panels[1] else "")
            charts.percent_axis(axes.yaxis, "observed" if axes is panels[0] else "")
            axes.tick_params(labelsize=6.5)
            if axes is not panels[0]:
                axes.sharex(panels[0])
        panels[0].legend(loc="upper left", fontsize=6, handletextpad=0.2, borderaxespad=0)

    return Plot(
        frame,
        f"Calibration error {before:.3f} before and {after:.3f} after the "
        f"temperature, {verdict} the sample's own noise ({low:.3f} to {high:.3f})",
        f"n = {whole(len(data.labels))} battles in ten bins of equal counts, out of fold. Error: "
        "class-wise ECE; noise: its 95 % range if outcomes were drawn from the stated "
        "probabilities. Bars: 95 % Wilson intervals.",
        draw,
        2.9,
        (1, len(shown)),
    )


@figure(SECTION)
def slices(data: RunData) -> Plot:
    """Show for which battles the model is good."""
    frame = loss_slices(data)
    ordered = frame.filter(pl.col("dimension") != "outcome").sort("log_loss").to_dicts()
    best, worst = (f"{row['slice']}, {loss_text(row)}" for row in (ordered[0], ordered[-1]))

    def draw(axes: Axes) -> None:
        row = pl.format("{} ({})", "slice", "battles").alias("row")
        reference = [pl.col("reference").alias(name) for name in LOSS]
        long = pl.concat(
            frame.select(row, pl.lit(who).alias("who"), *columns)
            for who, columns in ((PRIOR, reference), ("model", LOSS))
        )
        styles = {PRIOR: (GREY, "|"), "model": (BLUE, "o")}
        charts.dots(axes, long, "row", LOSS, series="who", styles=styles, along="log loss (nats)")
        for start in np.flatnonzero(frame["dimension"].ne(frame["dimension"].shift(1)).to_numpy()):
            axes.axhline(start - 0.5, color="#CCCCCC", linewidth=0.8)

    return Plot(
        frame,
        f"Easiest: {best}; hardest: {worst}",
        f"Log loss in nats, out of fold, n = {whole(len(data.labels))} battles, of each slice in "
        "brackets; slices overlap where a battle has several. Bars: 95 % over prompts, one slice "
        "at a time: the extremes of so many slices are partly luck.",
        draw,
        charts.rows_height(len(frame), 0.155, 1.8),
    )


@figure(SECTION)
def learning_curve(data: RunData) -> Plot:
    """Show what more battles are worth."""
    content = data.learning_curve
    if content is None:
        raise LeftOut(
            "there is no learning_curve.json in the run folder; "
            f"python -m pipelines.learning_curve --run {data.path} makes it"
        )
    parts = {MEASURED: content["points"], POWER_LAW: content["power_law"]["band"]}
    measured, law = (
        pl.DataFrame([{name: float(point[name]) for name in ("n", *LOSS)} for point in points])
        .sort("n")
        .select(pl.lit(kind).alias("kind"), "n", *LOSS)
        for kind, points in parts.items()
    )
    first, last = measured.row(0, named=True), measured.row(-1, named=True)

    def draw(axes: Axes) -> None:
        axes.plot(law["n"], law["log_loss"], color=VERMILLION, linewidth=1, label=POWER_LAW)
        axes.fill_between(law["n"], law["low"], law["high"], color=VERMILLION, alpha=0.18, lw=0)
        charts.interval(axes, measured["n"], measured, LOSS, label=MEASURED)
        charts.log_counts(axes, "training battles")
        axes.set_ylabel("log loss (nats)")
        charts.legend_above(axes)

    return Plot(
        pl.concat([measured, law]),
        f"From {whole(first['n'])} to {whole(last['n'])} battles the log loss falls from "
        f"{first['log_loss']:.3f} to {loss_text(last)}",
        f"Log loss in nats, out of fold, n up to {whole(last['n'])} training battles. Bars and "
        "band: 95 % over resampled prompts; beyond the last bar the law is a guess.",
        draw,
    )
