"""Folds that keep a prompt's battles together."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles.folds import make_folds
from featlab.errors import BattleError
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
    seed : int
        Root seed.

    Raises
    ------
    BattleError
        When the battles have no outcomes, or too few prompts.
    """
    frame = pl.scan_parquet(battles, glob=False)
    if "label" not in frame.collect_schema():
        raise BattleError(
            "has no outcomes, and nothing can be learned without them",
            source="the training file",
            remedy="name its columns with --battles.outcome",
        )
    dealt = make_folds(frame, count, seed)
    labels = frame.select("label").collect()
    with atomic_path(folds) as path:
        dealt.with_columns(labels["label"]).write_parquet(path)
