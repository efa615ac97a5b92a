"""Extra battles: read, cleared of the run's own prompts, and dealt to its folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from featlab.battles import (
    TIE_KNOWN,
    BattleSchema,
    ExtraFile,
    fitting,
    read_extra,
    recognise,
    without_prompts_of,
)
from featlab.battles.schema import TEXTS
from featlab.files import atomic_path
from featlab.progress import note
from featlab.signals.outcomes import Outcomes


def make_extra(
    *,
    battles: Path,
    sources: Sequence[Path],
    extra: Path,
    weights: Sequence[float],
    schema: BattleSchema | None,
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
    schema : BattleSchema, optional
        Which column plays which role where that was set by hand and fits; each
        file is recognised by itself else.
    folds : int
        Number of folds.
    """
    own = pl.read_parquet(battles, columns=list(TEXTS))
    parts = []
    for source, weight in zip(sources, weights, strict=True):
        found = recognise(source) if schema is None else fitting(source, schema)
        read = read_extra(ExtraFile(source, weight), found.schema)
        kept = without_prompts_of(read, own)
        ties = "with ties" if read[TIE_KNOWN].all() else "without ties, for A against B only"
        note(
            f"{source.name}: layout {found.schema.layout}; "
            f"{len(kept):,} extra battles {ties}, weight {weight:g}; "
            f"{len(read) - len(kept):,} left out because their prompt is among the training battles"
        )
        parts.append(kept)
    frame = pl.concat(parts, how="diagonal_relaxed")
    if not frame.is_empty():
        dealt = Outcomes.of(frame).inner_folds(folds, seed, "extra")
        frame = frame.with_columns(pl.Series("fold", dealt))
    with atomic_path(extra) as path:
        frame.write_parquet(path)
