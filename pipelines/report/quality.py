"""Figures of how good the model is: losses, calibration, confusion, slices, learning, search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from models.analysis.predictions import calibration_noise, reliability
from models.evaluation.intervals import with_shares
from models.evaluation.metrics import expected_calibration_error, outcomes_of
from pipelines.report import charts
from pipelines.report.charts import LOSS
from pipelines.report.figure import LeftOut, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.slices import PRIOR, loss_slices
from pipelines.report.study import plot_study, study_words
from pipelines.report.theme import BLUE, GREY, VERMILLION
from pipelines.report.words import (
    errors_from,
    loss_text,
    outcome_name,
    percent,
    share_text,
    whole,
)

SECTION = "How good the model is"

BEFORE, AFTER = "uncalibrated", "calibrated"
MEASURED, POWER_LAW = "measured", "power law"


@figure(SECTION)
def losses(data: RunData) -> Plot:
    """Show the ladder: the prior, length alone, each signal, the members, the whole."""
    metrics, battles = data.metrics, len(data.labels)
    named = {PRIOR: metrics["prior"]}
    if data.length_only is not None:
        named["length only"] = data.length_only
    for name, values in metrics["signals"].items():
        named[f"{name} alone"] = values["after_calibration"]
    named |= {f"{name}, member": values for name, values in data.members.items()}
    ensemble = metrics["ensemble"]
    named[f"ensemble, {BEFORE}"] = ensemble["before_calibration"]
    named[f"ensemble, {AFTER}"] = ensemble["after_calibration"]
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
    last, reference = frame.row(-1, named=True), frame["log_loss"][0]
    gain, along = reference - last["log_loss"], "log loss (nats), lower is better"
    return Plot(
        frame,
        f"The ensemble's log loss is {loss_text(last, form='.4f')}, {abs(gain):.4f} "
        f"{'below' if gain > 0 else 'above'} the prior's",
        f"n = {whole(battles)} battles, out of fold, nats. Signals alone are untuned; temperatures "
        "are cross-fitted. Prior: of the other folds, dashed. Bars: 95 % over resampled prompts.",
        lambda axes: charts.dots(axes, frame, "predictor", LOSS, reference=reference, along=along),
        charts.rows_height(len(frame), 0.26),
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
        f"Without the {first['signal']} signal the log loss rises most, by "
        + loss_text(first, "gain", "+.4f")
        + (f"; no clear gain from {', '.join(unclear)}" if unclear else ""),
        f"n = {whole(len(data.labels))} battles, out of fold, nats, calibrated; paired "
        "differences, parameters kept. Bars: 95 % over resampled prompts.",
        lambda axes: charts.dots(axes, frame, "signal", bounds, reference=0, along=along),
        charts.rows_height(len(frame), 0.26),
        telling=errors_from(0.0, first, "gain"),
    )


@figure(SECTION)
def confusion(data: RunData) -> Plot:
    """Show what was voted against the outcome that was the likeliest."""
    outcomes = outcomes_of(data.calibrated)
    counts = np.zeros((len(outcomes), len(outcomes)), int)
    np.add.at(counts, (data.labels, data.calibrated.argmax(axis=1)), 1)
    rows = [
        (outcomes[voted], outcomes[called], int(count), int(counts[voted].sum()))
        for (voted, called), count in np.ndenumerate(counts)
    ]
    names = ["voted", "predicted", "battles", "of"]
    frame = with_shares(pl.DataFrame(rows, names, orient="row")).fill_nan(0.0)
    share_right = percent(float(np.trace(counts) / counts.sum()))
    right = frame.filter(pl.col("voted") == pl.col("predicted"), pl.col("of") > 0).sort("share")
    least = right.row(0, named=True)

    def draw(axes: Axes) -> None:
        shares = frame["share"].to_numpy().reshape(counts.shape)
        texts = [f"{percent(share)}\n{whole(n)}" for share, n in frame["share", "battles"].rows()]
        charts.shaded(axes, shares, [outcome_name(outcome) for outcome in outcomes], texts)
        axes.set(xlabel="predicted as the likeliest", ylabel="voted")

    return Plot(
        frame,
        f"The likeliest outcome is the one voted in {share_right} of battles, and in "
        f"{share_text(least)} of those voted: {outcome_name(least['voted'])}",
        f"Shares of each row and battles, n = {whole(counts.sum())}, out of fold. The table has "
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
            axes.set_title(outcome_name(outcome), fontsize=9)
            charts.percent_axis(axes.xaxis, "stated probability" if axes is panels[1] else "")
            charts.percent_axis(axes.yaxis, "observed" if axes is panels[0] else "")
            axes.xaxis.set_major_locator(MaxNLocator(2))
            if axes is not panels[0]:
                axes.sharex(panels[0])
        charts.legend_above(panels[0])

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
    """Show for which battles the model gains on the prior."""
    frame = loss_slices(data).sort("gain", descending=True)
    known = frame.filter(pl.col("dimension") != "outcome")
    if len(known) < 2:
        raise LeftOut("fewer than two kinds of battles have 15 each")
    best, worst = (
        f"{row['slice']}, {loss_text(row, 'gain', '+.3f')} nats"
        for row in known[[0, -1]].to_dicts()
    )
    half = charts.FOLD // 2
    drawn = known if len(known) <= 2 * half else pl.concat([known.head(half), known.tail(half)])
    total = float(frame["gain"].to_numpy().mean())

    def draw(axes: Axes) -> None:
        bounds = ("gain", "gain_low", "gain_high")
        charts.dots(axes, drawn, "slice", bounds, reference=0, along="gain on the prior (nats)")
        axes.axvline(total, color=GREY, linewidth=0.8, linestyle=":")

    return Plot(
        frame,
        f"The model gains most on the prior with {best}, and least with {worst}",
        f"Log loss of the prior less the model's, out of fold, n = {whole(len(data.labels))} "
        f"battles; the {len(drawn)} of {len(known)} slices at both ends; dotted: their mean. They "
        "overlap where a battle has several. Bars: 95 % over prompts, one slice at a time: the "
        "extremes of so many are partly luck.",
        draw,
        charts.rows_height(len(drawn), 0.25),
    )


@figure(SECTION)
def learning_curve(data: RunData) -> Plot:
    """Show what more battles are worth."""
    content = data.learning_curve
    if content is None:
        raise LeftOut(
            "there is no learning_curve.json in the run folder, or it is damaged; "
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


@figure(SECTION)
def study(data: RunData) -> Plot:
    """Show the loss of every trial."""
    frame = data.trials
    if frame is None:
        raise LeftOut(
            "there is no finished trial in a study.journal of the run folder; train again"
        )
    return Plot(frame, *study_words(frame), lambda axes: plot_study(axes, frame))
