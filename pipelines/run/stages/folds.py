"""Folds that keep a prompt's battles together."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles.folds import make_folds
from featlab.files import atomic_path


def write_folds(*, battles: Path, folds: Path, count: int, seed: int) -> None:
    """Deal every battle to a fold.

    Parameters
    ----------
    battles : Path
        The run's battles.
    folds : Path
        Parquet to write: ``id``, ``fold``, ``group`` and ``label``.
    count : int
        Number of folds.

    Raises
    ------
    BattleError
        When there are too few prompts.
    """
    frame = pl.scan_parquet(battles, glob=False)
    dealt = make_folds(frame, count, seed)
    labels = frame.select("label").collect()
    with atomic_path(folds) as path:
        dealt.with_columns(labels["label"]).write_parquet(path)
