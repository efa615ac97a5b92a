"""The files of a run's battles: what signals learn from.

Apart from the table's, so that a change to the table trains no signal again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from featlab.battles.turns import key_texts
from featlab.signals.outcomes import TRAINING_ONLY, Outcomes, Rows


@dataclass(frozen=True)
class BattleFiles:
    """Battles and folds of a run, and extra battles where it has any."""

    battles: Path
    folds: Path
    extra: Path | None = None


def scan_battles(battles: Path, extra: Path | None) -> pl.LazyFrame:
    """Return a run's battles, then the extra ones, whose ids are text."""
    own = pl.scan_parquet(battles)
    if extra is None:
        return own
    return pl.concat(
        [own.with_columns(pl.col("id").cast(pl.String)), pl.scan_parquet(extra)],
        how="diagonal_relaxed",
    )


def read_outcomes(files: BattleFiles) -> tuple[Outcomes, Rows, int]:
    """Return outcomes and folds of all battles, and how many of them are the run's own."""
    frame = scan_battles(files.battles, files.extra)
    wanted = ["id", *key_texts(), *(n for n in frame.collect_schema() if n in TRAINING_ONLY)]
    folds = pl.read_parquet(files.folds)["fold"]
    dealt = [folds.to_numpy().astype(np.int64)]
    if files.extra is not None:
        dealt.append(pl.read_parquet(files.extra, columns=["fold"])["fold"].to_numpy())
    return Outcomes.of(frame.select(wanted).collect()), np.concatenate(dealt), len(folds)
