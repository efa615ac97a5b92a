"""The learning curve: everything that trains within minutes, trained on parts of the battles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from featlab.columns import Column
from featlab.files import atomic_path, write_json
from featlab.progress import task
from featlab.signals.signal import Context, Signal
from models.evaluation.learning_curve import (
    PREDICTOR,
    PreparedSignal,
    Subset,
    describe_curve,
    measure_curve,
    planned_subsets,
)
from pipelines.run.training import TableFiles, read_table


def make_curve(
    *,
    table: TableFiles,
    curve: Path,
    points: Path,
    signals: Mapping[str, Sequence[Column]],
    kinds: Mapping[str, type[Signal[Any]]],
    context: Context,
    shares: Sequence[float],
    draws: int,
    extrapolate_to: int,
    seed: int,
    about: Mapping[str, Any],
) -> None:
    """Measure the curve, and fit a power law to it.

    Parameters
    ----------
    curve, points : Path
        JSON and CSV to write.
    kinds : mapping of str to type of Signal
        Signals that do need training.
    context : Context
        What they are told.
    shares, draws : sequence of float, int
        As `models.evaluation.learning_curve.planned_subsets` takes them.
    extrapolate_to : int
        Training battles at which the power law is read.
    about : mapping
        What else the JSON shall state.
    """
    fixed = read_table(table, signals)
    battles = pl.scan_parquet(table.training.battles)
    prepared = [PreparedSignal.of(kind, context, battles) for kind in kinds.values()]
    subsets = planned_subsets(fixed.fold_numbers, shares, draws)
    with task("learning curve", len(subsets)) as advance:

        def on_subset(done: int, subset: Subset) -> None:
            advance(done, f"fold {subset.held_out}, {subset.share:.1%} of the rest")

        losses = measure_curve(fixed, prepared, subsets, seed, on_subset)
    found = {
        "signals": [*signals, *kinds],
        **about,
        "predictor": PREDICTOR,
        **describe_curve(losses, fixed.groups, seed, extrapolate_to),
    }
    with atomic_path(points) as path:
        curve_table(found).write_csv(path)
    write_json(curve, found)


def curve_table(found: dict[str, Any]) -> pl.DataFrame:
    """Return the measured points, then the power law's reading."""
    law = found["power_law"]
    rows = [
        {"kind": "measured", **{name: point[name] for name in ("n", "log_loss", "low", "high")}}
        for point in found["points"]
    ]
    rows.append(
        {
            "kind": "extrapolated",
            "n": law["extrapolated_n"],
            "log_loss": law["extrapolated"],
            "low": law["low"],
            "high": law["high"],
        }
    )
    return pl.DataFrame(rows)
