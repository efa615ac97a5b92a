"""Figures of the model: how good, how well calibrated, for what, by what means, at what cost."""

from __future__ import annotations

import numpy as np
import optuna
import polars as pl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from featlab.battles import OUTCOMES
from featlab.files import read_json
from models.analysis.learning_curve import MEASURED, POWER_LAW, learning_curve
from models.analysis.reliability import calibration_noise, confusion, reliability
from models.evaluation.metrics import expected_calibration_error
from pipelines.report.charts import Bounds, dots, interval, legend_above, rows_height
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.slices import loss_slices
from pipelines.report.theme import BLUE, GREY, SKY, VERMILLION, shortened
from pipelines.report.words import percent, whole

QUALITY = "How good the model is"
COST = "Training"

LOSS: Bounds = ("log_loss", "low", "high")
BEFORE, AFTER = "before calibration", "after calibration"


# Losses


def _losses(data: RunData) -> pl.DataFrame:
    figures = data.metrics
    rows = [("prior of the other folds", figures["prior"])]
    rows += [
        (f"{name} alone, untuned", values["after_calibration"])
        for name, values in figures["signals"].items()
    ]
    rows += [(f"{name}, a half of it", values) for name, values in figures["halves"].items()]
    rows += [
        (f"ensemble, {when}", figures["ensemble"][when.replace(" ", "_")])
        for when in (BEFORE, AFTER)
    ]
    return pl.DataFrame(
        [
            {
                "predictor": name,
                "log_loss": values["log_loss"]["value"],
                "low": values["log_loss"]["low"],
                "high": values["log_loss"]["high"],
                "accuracy": values.get("accuracy", {}).get("value"),
                "accuracy_low": values.get("accuracy", {}).get("low"),
                "accuracy_high": values.get("accuracy", {}).get("high"),
                "calibration_error": values.get("expected_calibration_error"),
                "battles": len(data.labels),
            }
            for name, values in rows
        ]
    )


def _added(data: RunData) -> pl.DataFrame:
    without = data.metrics["without"]
    if not without:
        raise LeftOut("the run has one signal only, so none can be left out")
    return pl.DataFrame(
        [
            {
                "signal": name,
                "gain": values["gain"]["value"],
                "low": values["gain"]["low"],
                "high": values["gain"]["high"],
                "log_loss_without": values["log_loss"],
                "battles": len(data.labels),
            }
            for name, values in without.items()
        ]
    ).sort("gain", descending=True)


def _added_title(frame: pl.DataFrame) -> str:
    first = frame.row(0, named=True)
    unclear = frame.filter(pl.col("low") <= 0)["signal"].to_list()
    text = (
        f"The {first['signal']} signal adds most: without it the log loss rises by "
        f"{first['gain']:.4f} ({first['low']:+.4f} to {first['high']:+.4f})"
    )
    return text + (f"; no clear gain from {', '.join(unclear)}" if unclear else "")


def _draw_added(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    dots(axes, frame, "signal", ("gain", "low", "high"), reference=0)
    axes.set_xlabel("rise of the log loss without the signal (nats)")


def _losses_title(frame: pl.DataFrame) -> str:
    prior, last = frame.row(0, named=True), frame.row(-1, named=True)
    return (
        f"The ensemble reaches a log loss of {last['log_loss']:.4f} ({last['low']:.4f} to "
        f"{last['high']:.4f}), the prior {prior['log_loss']:.4f}"
    )


def _draw_losses(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    dots(axes, frame, "predictor", LOSS, reference=float(frame["log_loss"][0]))
    axes.set_xlabel("log loss (nats), lower is better")


# Confusion


def _confusion_title(frame: pl.DataFrame) -> str:
    right = frame.filter(pl.col("outcome") == pl.col("predicted"))
    accuracy = int(right["battles"].sum()) / int(frame["battles"].sum())
    tie = right.filter(pl.col("outcome") == "tie").row(0, named=True)
    return (
        f"The likeliest outcome is right in {percent(accuracy)} of battles; ties are found "
        f"in {percent(tie['share'], 0)} ({percent(tie['low'], 0)} to {percent(tie['high'], 0)})"
    )


def _draw_confusion(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    shares = frame["share"].to_numpy().reshape(3, 3)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for number, row in enumerate(frame.to_dicts()):
        axes.text(
            number % 3,
            number // 3,
            f"{percent(row['share'], 0)}\n{percent(row['low'], 0)} to {percent(row['high'], 0)}\n"
            f"{row['battles']:,} battles",
            ha="center",
            va="center",
            color="white" if row["share"] > 0.65 else "#111111",
        )
    names = ["A", "B", "tie"]
    axes.set_xticks(range(3), names)
    axes.set_yticks(range(3), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("voted")
    axes.grid(visible=False)


# Reliability


def _reliability(data: RunData) -> pl.DataFrame:
    stages = {BEFORE: data.verdicts.both_orders, AFTER: data.calibrated}
    low, high = calibration_noise(data.calibrated, data.settings.seed)
    return pl.concat(
        reliability(stated, data.labels).with_columns(
            pl.lit(when).alias("when"),
            pl.lit(expected_calibration_error(stated, data.labels)).alias("calibration_error"),
            pl.lit(low).alias("noise_low"),
            pl.lit(high).alias("noise_high"),
        )
        for when, stated in stages.items()
    )


def _reliability_title(frame: pl.DataFrame) -> str:
    errors = dict(frame.select("when", "calibration_error").unique().iter_rows())
    low, high = frame["noise_low"][0], frame["noise_high"][0]
    verdict = "no more than" if errors[AFTER] <= high else "above"
    return (
        f"Calibration error {errors[BEFORE]:.3f} before and {errors[AFTER]:.3f} after the "
        f"temperature, {verdict} the sample's own noise ({low:.3f} to {high:.3f})"
    )


def _draw_reliability(canvas: Canvas, frame: pl.DataFrame) -> None:
    panels = canvas.subplots(1, 3, sharex=True, sharey=True)
    for axes, outcome in zip(panels, OUTCOMES, strict=True):
        axes.axline((0, 0), slope=1, color=GREY, linewidth=0.9, linestyle="--")
        for when, colour, marker in ((BEFORE, VERMILLION, "s"), (AFTER, BLUE, "o")):
            part = frame.filter(pl.col("outcome") == outcome, pl.col("when") == when)
            if part.is_empty():
                continue
            stated = part["stated"].to_numpy()
            interval(
                axes,
                stated,
                part,
                ("observed", "low", "high"),
                colour=colour,
                marker=marker,
                label=when,
            )
        axes.set_title("tie" if outcome == "tie" else f"{outcome.upper()} wins", fontsize=8)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.tick_params(labelsize=6.5)
    panels[0].set_ylabel("observed")
    panels[1].set_xlabel("stated probability")
    panels[0].legend(loc="upper left", fontsize=6, handletextpad=0.2, borderaxespad=0)


# Slices


def _slices_title(frame: pl.DataFrame) -> str:
    others = frame.filter(pl.col("dimension") != "outcome")
    gain = (pl.col("reference") - pl.col("log_loss")).alias("gain")
    ordered = others.with_columns(gain).sort("log_loss")
    best, worst = ordered.row(0, named=True), ordered.row(-1, named=True)
    return (
        f"Easiest: {best['slice']}, {best['log_loss']:.3f} ({best['low']:.3f} to "
        f"{best['high']:.3f}); hardest: {worst['slice']}, {worst['log_loss']:.3f} "
        f"({worst['low']:.3f} to {worst['high']:.3f})"
    )


def _voted(frame: pl.DataFrame) -> int:
    return int(frame.filter(pl.col("dimension") == "outcome")["battles"].sum())


def _draw_slices(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    long = pl.concat(
        [
            frame.select(
                "dimension",
                "slice",
                "battles",
                pl.lit("prior of the other folds").alias("who"),
                pl.col("reference").alias("log_loss"),
                pl.col("reference").alias("low"),
                pl.col("reference").alias("high"),
            ),
            frame.select("dimension", "slice", "battles", pl.lit("model").alias("who"), *LOSS),
        ]
    ).with_columns(pl.format("{} ({})", "slice", "battles").alias("row"))
    styles = {"prior of the other folds": (GREY, "|"), "model": (BLUE, "o")}
    dots(axes, long, "row", LOSS, series="who", styles=styles, label_length=40)
    starts = frame.with_row_index().group_by("dimension", maintain_order=True).first()["index"]
    for start in starts.to_list()[1:]:
        axes.axhline(start - 0.5, color="#CCCCCC", linewidth=0.8)
    axes.set_xlabel("log loss (nats)")


# Learning curve


def _learning_curve(data: RunData) -> pl.DataFrame:
    path = data.run.path / "learning_curve.json"
    if not path.is_file():
        raise LeftOut(
            "there is no learning_curve.json in the run folder; "
            f"python -m pipelines.learning_curve --run {data.run.path} makes it"
        )
    return learning_curve(read_json(path))


def _learning_curve_title(frame: pl.DataFrame) -> str:
    measured = frame.filter(pl.col("kind") == MEASURED)
    first, last = measured.row(0, named=True), measured.row(-1, named=True)
    return (
        f"From {whole(first['n'])} to {whole(last['n'])} battles the log loss falls from "
        f"{first['log_loss']:.3f} to {last['log_loss']:.3f} ({last['low']:.3f} to "
        f"{last['high']:.3f})"
    )


def _largest(frame: pl.DataFrame) -> float:
    return float(frame.filter(pl.col("kind") == MEASURED)["n"].to_numpy().max())


def _draw_learning_curve(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    law, measured = (frame.filter(pl.col("kind") == kind) for kind in (POWER_LAW, MEASURED))
    axes.plot(law["n"], law["log_loss"], color=VERMILLION, linewidth=1, label=POWER_LAW)
    axes.fill_between(law["n"], law["low"], law["high"], color=VERMILLION, alpha=0.18, lw=0)
    interval(axes, measured["n"].to_numpy(), measured, LOSS, label=MEASURED)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training battles")
    axes.set_ylabel("log loss (nats)")
    legend_above(axes)


# The search


def _study(data: RunData) -> pl.DataFrame:
    if not data.run.journal.is_file():
        raise LeftOut("there is no study.journal in the run folder; train again")
    # The journal keeps every study of the run; the last one made the bundle.
    storage = JournalStorage(JournalFileBackend(str(data.run.journal)))
    study = max(storage.get_all_studies(), key=lambda frozen: frozen._study_id)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = storage.get_all_trials(study._study_id, deepcopy=False)
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "log_loss": trial.value if trial.state is TrialState.COMPLETE else None,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for trial in trials
        if trial.state in states
    ]
    best = pl.col("log_loss").cum_min().forward_fill().alias("best_so_far")
    return pl.DataFrame(rows, infer_schema_length=None).sort("trial").with_columns(best)


def _study_title(frame: pl.DataFrame) -> str:
    complete = frame.drop_nulls("log_loss")
    best = complete.sort("log_loss").row(0, named=True)
    spread = complete["log_loss"].max() - best["log_loss"]
    return (
        f"Trial {best['trial']} of {len(frame)} is best at {best['log_loss']:.4f}; the worst "
        f"finished one is {spread:.4f} behind"
    )


def _draw_study(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    complete = frame.drop_nulls("log_loss")
    axes.plot(complete["trial"], complete["log_loss"], "o", color=BLUE, markersize=4,
              label=f"finished ({len(complete)})")  # fmt: skip
    axes.step(complete["trial"], complete["best_so_far"], where="post", color=VERMILLION,
              label="best so far")  # fmt: skip
    pruned = frame.filter(pl.col("log_loss").is_null())["trial"].to_numpy()
    if len(pruned):
        # A pruned trial saw some folds only, so its mean cannot stand on the same scale.
        axes.plot(
            pruned,
            np.ones(len(pruned)),
            "|",
            color=GREY,
            clip_on=False,
            transform=axes.get_xaxis_transform(),
            label=f"pruned ({len(pruned)})",
        )
    losses = complete["log_loss"].to_numpy()
    low = float(losses.min())
    high = max(float(np.quantile(losses, 0.95)), low + 1e-3)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.15 * (high - low))
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("log loss (nats)")
    legend_above(axes)


# Time and memory


def _stages(data: RunData) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "stage": name,
                "seconds": stage["seconds"],
                "peak_memory_mb": stage.get("peak_memory_mb"),
            }
            for name, stage in data.manifest["stages"].items()
        ]
    )


def _stages_title(frame: pl.DataFrame) -> str:
    longest = frame.sort("seconds", descending=True).row(0, named=True)
    return (
        f"Training took {frame['seconds'].sum():,.0f} s, {longest['seconds']:,.0f} of them for "
        f"{longest['stage']}, with at most {whole(frame['peak_memory_mb'].max() or 0)} MB"
    )


def _draw_stages(canvas: Canvas, frame: pl.DataFrame) -> None:
    left, right = canvas.subplots(1, 2, sharey=True)
    names = frame["stage"].to_list()
    for axes, column, unit in (
        (left, "seconds", "seconds"),
        (right, "peak_memory_mb", "peak memory so far (MB)"),
    ):
        values = frame[column].fill_null(0).to_numpy()
        axes.barh(range(len(names)), values, color=SKY, height=0.7)
        for place, value in enumerate(values):
            axes.annotate(f"{value:,.0f}", (value, place), xytext=(3, 0), va="center", fontsize=7,
                          textcoords="offset points")  # fmt: skip
        axes.set_xlabel(unit)
        axes.margins(x=0.25)
        axes.grid(visible=False, axis="y")
    left.set_yticks(range(len(names)), [shortened(name) for name in names])
    left.set_ylim(len(names) - 0.4, -0.6)


QUALITY_FIGURES = (
    Figure(
        "losses",
        QUALITY,
        _losses,
        _losses_title,
        lambda frame: (
            f"n = {whole(frame['battles'][0])} battles, out of fold, nats. Temperatures are "
            "cross-fitted. Dashed: the prior. Bars: 95 % over resampled prompts."
        ),
        _draw_losses,
        lambda frame: rows_height(len(frame), 0.26, 1.4),
    ),
    Figure(
        "added_by_signals",
        QUALITY,
        _added,
        _added_title,
        lambda frame: (
            f"n = {whole(frame['battles'][0])} battles, out of fold, nats, calibrated; paired "
            "differences, parameters kept. Bars: 95 % over resampled prompts."
        ),
        _draw_added,
        lambda frame: rows_height(len(frame), 0.26, 1.5),
    ),
    Figure(
        "confusion",
        QUALITY,
        lambda data: confusion(data.calibrated, data.labels),
        _confusion_title,
        lambda frame: (
            f"Share of each row, n = {whole(frame['battles'].sum())} battles, out of fold. "
            "Ranges: 95 % Wilson intervals."
        ),
        _draw_confusion,
    ),
    Figure(
        "reliability",
        QUALITY,
        _reliability,
        _reliability_title,
        lambda frame: (
            f"n = {whole(frame.filter(pl.col('when') == AFTER)['battles'].sum() / 3)} battles in "
            "ten bins of equal counts, out of fold. Error: class-wise ECE; noise: its 95 % range "
            "if outcomes were drawn from the stated probabilities. Bars: 95 % Wilson intervals."
        ),
        _draw_reliability,
        lambda frame: 2.9,
    ),
    Figure(
        "slices",
        QUALITY,
        loss_slices,
        _slices_title,
        lambda frame: (
            f"Log loss in nats, out of fold, n = {whole(_voted(frame))} battles, of each slice in "
            "brackets; slices overlap where a battle "
            "has several. Bars: 95 % over prompts, one slice at a time: the extremes of so many "
            "slices are partly luck."
        ),
        _draw_slices,
        lambda frame: rows_height(len(frame), 0.155, 1.8),
    ),
    Figure(
        "learning_curve",
        QUALITY,
        _learning_curve,
        _learning_curve_title,
        lambda frame: (
            f"Log loss in nats, out of fold, n up to {whole(_largest(frame))} training battles. "
            "Bars and band: 95 % over resampled prompts; beyond the last bar the law is a guess."
        ),
        _draw_learning_curve,
    ),
)
"""In the order of the page."""

COST_FIGURES = (
    Figure(
        "study",
        COST,
        _study,
        _study_title,
        lambda frame: (
            f"Mean log loss over the folds, nats, uncalibrated, n = {len(frame)} trials. The best "
            "of many looks better than it is; metrics.json says by how much."
        ),
        _draw_study,
    ),
    Figure(
        "stages",
        COST,
        _stages,
        _stages_title,
        lambda frame: (
            f"n = {len(frame)} stages, each timed once, when it was last made: one measurement, "
            "no interval. Memory is the process's peak up to the end of the stage."
        ),
        _draw_stages,
        lambda frame: rows_height(len(frame), 0.24, 1.3),
    ),
)
"""In the order of the page."""
