"""Extra battles: read, cleared of the run's own prompts, and dealt to its folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from featlab.battles import TIE_KNOWN, BattleSchema, ExtraFile, read_extra, without_prompts_of
from featlab.files import atomic_path
from featlab.progress import note
from featlab.signals.outcomes import Outcomes


def make_extra(
    *,
    battles: Path,
    sources: Sequence[Path],
    extra: Path,
    weights: Sequence[float],
    schema: BattleSchema,
    folds: int,
    seed: int,
) -> None:
    """Keep all extra battles but those whose prompt the run holds out somewhere.

    They are dealt to folds, a prompt's battles together: a fold's signals learn
    neither from the fold nor from the extra battles dealt to it, so that the
    columns of all battles are out of fold.

    Parameters
    ----------
    battles : Path
        The run's own.
    sources : sequence of Path
        Files of further battles.
    extra : Path
        Parquet to write.
    weights : sequence of float
        How many battles each file's battles count for.
    folds : int
        Number of folds.
    """
    own = pl.read_parquet(battles, columns=["prompt"])
    parts = []
    for source, weight in zip(sources, weights, strict=True):
        read = read_extra(ExtraFile(source, weight), schema)
        kept = without_prompts_of(read, own)
        ties = "with ties" if read[TIE_KNOWN].all() else "without ties, for A against B only"
        note(
            f"{source.name}: {len(kept):,} extra battles {ties}, weight {weight:g}; "
            f"{len(read) - len(kept):,} left out because their prompt is among the training battles"
        )
        parts.append(kept)
    frame = pl.concat(parts, how="diagonal_relaxed")
    if not frame.is_empty():
        dealt = Outcomes.of(frame).inner_folds(folds, seed, "extra")
        frame = frame.with_columns(pl.Series("fold", dealt))
    with atomic_path(extra) as path:
        frame.write_parquet(path)
