"""The files of a run as the table that the members learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from featlab.columns import Column
from featlab.errors import ConfigError
from models.stacking.table import Table, stacked_frame
from pipelines.run.battle_files import BattleFiles, read_outcomes
from pipelines.run.folder import RunFolder


@dataclass(frozen=True)
class TableFiles:
    """What a table is joined from; signals by name, in the order of the table's columns."""

    training: BattleFiles
    signals: Mapping[str, Path]
    extra_signals: Mapping[str, Path]


def battle_files(run: RunFolder, *, extra: bool) -> BattleFiles:
    """Return the battle files of a run; `extra` says whether it was given extra battles."""
    some = extra and len(pl.read_parquet(run.extra, columns=["id"])) > 0
    return BattleFiles(run.battles, run.folds, run.extra if some else None)


def table_files(run: RunFolder, training: BattleFiles, signals: Iterable[str]) -> TableFiles:
    """Return the files of a run's table."""
    names = list(signals)
    extra = [] if training.extra is None else names
    return TableFiles(
        training,
        {name: run.signal(name) for name in names},
        {name: run.extra_signal(name) for name in extra},
    )


def read_table(files: TableFiles, signals: Mapping[str, Sequence[Column]]) -> Table:
    """Join the columns of all signals with outcomes and folds.

    Parameters
    ----------
    files : TableFiles
    signals : mapping of str to sequence of Column
        Signal -> the columns to take of it, as `models.stacking.table.stacked_columns`
        lists them.

    Raises
    ------
    ConfigError
        When a signal's rows are not those of the battles.
    """
    outcomes, folds, own = read_outcomes(files.training)
    columns = tuple(column for group in signals.values() for column in group)

    def joined(paths: Mapping[str, Path], battles: Path) -> pl.DataFrame:
        ids = pl.read_parquet(battles, columns=["id"])["id"]
        frames = []
        for name, group in signals.items():
            made = pl.read_parquet(paths[name])
            if not made["id"].equals(ids):
                raise ConfigError(
                    f"{paths[name]} holds other battles than {battles}; use another run folder"
                )
            frames.append(stacked_frame(made, group))
        return pl.concat(frames, how="horizontal")

    extra = None
    if files.training.extra is not None:
        rest = np.arange(own, len(folds))
        frame = joined(files.extra_signals, files.training.extra)
        extra = Table(frame, columns, outcomes.take(rest), folds[rest])
    rows = np.arange(own)
    frame = joined(files.signals, files.training.battles)
    return Table(frame, columns, outcomes.take(rows), folds[rows], extra)
