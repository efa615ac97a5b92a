"""The search as a figure: every finished trial's loss and the best so far."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import optuna
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.trial import FrozenTrial, TrialState

from featlab.files import atomic_path
from pipelines.report import charts
from pipelines.report.theme import BLUE, GREY, VERMILLION, render


def trials_of(trials: Iterable[FrozenTrial]) -> pl.DataFrame:
    """Return ``trial`` (from 1), ``state, log_loss, seconds``, parameters and ``best_so_far``.

    Only finished and pruned trials; a pruned one has no loss, since it saw some
    folds only, so that its mean cannot stand on the same scale.
    """
    rows = [
        {
            "trial": trial.number + 1,
            "state": trial.state.name.lower(),
            "log_loss": trial.value if trial.state is TrialState.COMPLETE else None,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for trial in trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]
    best = pl.col("log_loss").cum_min().forward_fill().alias("best_so_far")
    return pl.DataFrame(rows, infer_schema_length=None).sort("trial").with_columns(best)


def study_words(frame: pl.DataFrame) -> tuple[str, str]:
    """Return the finding of a search, and what its losses are."""
    complete = frame.drop_nulls("log_loss").sort("log_loss")
    best, worst = complete.row(0, named=True), complete.row(-1, named=True)
    title = (
        f"Trial {best['trial']} of {len(frame)} is best at {best['log_loss']:.4f}; the worst "
        f"finished one is {worst['log_loss'] - best['log_loss']:.4f} behind"
    )
    note = (
        f"Mean log loss over the folds, nats, uncalibrated, n = {len(frame)} trials. The best of "
        "many looks better than it is; metrics.json says by how much."
    )
    return title, note


def plot_study(axes: Axes, frame: pl.DataFrame) -> None:
    """Draw the losses, the best so far, and pruned trials as ticks along the top."""
    complete, pruned = frame.drop_nulls("log_loss"), frame.filter(pl.col("log_loss").is_null())
    losses = complete["log_loss"].to_numpy()
    axes.plot(complete["trial"], losses, "o", color=BLUE, markersize=4,
              label=f"finished ({len(complete)})")  # fmt: skip
    axes.step(complete["trial"], complete["best_so_far"], where="post", color=VERMILLION,
              label="best so far")  # fmt: skip
    if len(pruned):
        axes.plot(pruned["trial"], np.ones(len(pruned)), "|", color=GREY, clip_on=False,
                  transform=axes.get_xaxis_transform(),
                  label=f"pruned ({len(pruned)})")  # fmt: skip
    low = float(losses.min())
    high = max(float(np.quantile(losses, 0.95)), low + 1e-3)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.15 * (high - low))
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("log loss (nats)")
    charts.legend_above(axes)


def draw_study(study: optuna.Study, target: Path) -> None:
    """Write the figure of a search that has just ended."""
    frame = trials_of(study.get_trials(deepcopy=False))
    png, _ = render(
        lambda canvas: plot_study(canvas.subplots(), frame), *study_words(frame), 2.6, "study"
    )
    with atomic_path(target) as path:
        path.write_bytes(png)
