"""One signal: its columns, out of fold where it learns, and what it has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.files import atomic_path
from featlab.progress import LONG, clock, note, task
from featlab.signals.outcomes import TRAINING_ONLY
from featlab.signals.signal import Context, Cost, Signal
from models.stacking.out_of_fold import out_of_fold, prepare, save_fitted
from pipelines.run.battle_files import BattleFiles, read_outcomes, scan_battles

MANY = 1_000
"""Battles from which the time is estimated first; it costs a warm-up."""


def make_signal(
    *,
    battles: Path,
    extra: Path | None,
    folds: Path | None,
    columns: Path,
    extra_columns: Path | None,
    fitted: Path,
    kind: type[Signal[Any]],
    context: Context,
) -> None:
    """Fit a signal fold by fold, and write its columns and states.

    Parameters
    ----------
    battles, extra, folds : Path
        Of the run; folds are not read where there is nothing to fit.
    columns, extra_columns : Path
        Parquet to write: ``id`` and the signal's columns.
    fitted : Path
        Folder to write the states into, a folder a fold.
    kind : type of Signal
        The signal.
    context : Context
        What the run tells it.
    """
    both = scan_battles(battles, extra)
    if kind.cost is Cost.NOTHING or folds is None:
        signal = kind.from_settings(context, 0)
        made, signals = signal.transform(prepare(signal, both)), [signal]
    else:
        outcomes, dealt, _ = read_outcomes(BattleFiles(battles, folds, extra))
        if len(outcomes.labels) >= MANY:
            told = both.drop(TRAINING_ONLY, strict=False)
            expected = kind.from_settings(context, 0).expected_seconds(told, outcomes, dealt)
            if expected is not None and expected > LONG:
                note(f"{kind.name}: will take about {clock(expected)}, less what is stored already")
        with task(kind.name, len(np.unique(dealt))) as advance:
            made, signals = out_of_fold(kind, context, both, outcomes, dealt, advance)
    save_fitted(signals, fitted)
    ids = pl.read_parquet(battles, columns=["id"])["id"]
    _write(made.head(len(ids)), ids, columns)
    if extra is not None and extra_columns is not None:
        more = pl.read_parquet(extra, columns=["id"])["id"]
        _write(made.tail(len(more)), more, extra_columns)


def _write(frame: pl.DataFrame, ids: pl.Series, target: Path) -> None:
    with atomic_path(target) as path:
        frame.insert_column(0, ids).write_parquet(path)
