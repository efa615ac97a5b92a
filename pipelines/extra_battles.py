"""The extra battles of a run: read, cleared of the run's own prompts, and accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.battles import (
    PROBABILITIES,
    TIE_KNOWN,
    WEIGHT,
    ExtraFile,
    read_extra,
    without_prompts_of,
)
from featlab.errors import BattleError
from featlab.files import file_fingerprint
from featlab.signals.training_rows import TrainingRows, inner_folds
from models.stacking.out_of_fold import ExtraBattles
from pipelines.run.console import say
from pipelines.run.settings import TrainSettings


def extra_inputs(settings: TrainSettings) -> list[dict[str, Any]]:
    """What a stage's key holds of the extra files.

    Raises
    ------
    BattleError
        When one of them does not exist.
    """
    return [
        {"file": given_file_fingerprint(extra.path), "weight": extra.weight}
        for extra in map(ExtraFile.parse, settings.extra)
    ]


def given_file_fingerprint(path: Path) -> str:
    """The fingerprint of a file that the user named."""
    if not path.is_file():
        raise BattleError("there is no such file", source=str(path))
    return file_fingerprint(path)


def load_extra(
    settings: TrainSettings, battles: pl.DataFrame, *, tell: bool = False
) -> ExtraBattles | None:
    """All extra battles but those whose prompt the run holds out somewhere.

    They are dealt to the run's folds, a prompt's battles together. `tell` says
    of each file what is used of it.

    Raises
    ------
    BattleError, ConfigError
        When a file cannot be read, or its weight makes no sense.
    """
    parts = []
    for extra in map(ExtraFile.parse, settings.extra):
        read = read_extra(extra, settings.battles.schema_of_battles())
        kept = without_prompts_of(read, battles)
        ties = "with ties" if read[TIE_KNOWN].all() else "without ties, for A against B only"
        if tell:
            say(
                f"{extra.path.name}: {len(kept):,} extra battles {ties}, weight {extra.weight:g}; "
                f"{len(read) - len(kept):,} left out because their prompt is among the training "
                "battles"
            )
        parts.append(kept)
    if not sum(map(len, parts)):
        return None
    frame = pl.concat(parts, how="diagonal_relaxed")
    return ExtraBattles(frame, inner_folds(frame, settings.folds, settings.seed, "extra"))


def extra_outcomes(extra: ExtraBattles) -> pl.DataFrame:
    """Fold, outcome shares, weight and whether ties were possible, of each extra battle."""
    training = TrainingRows.of(extra.frame)
    shares = np.eye(3)[training.labels]
    if set(PROBABILITIES) <= set(extra.frame.columns):
        taught = extra.frame.select(PROBABILITIES).to_numpy().astype(np.float64)
        shares = np.where(np.isfinite(taught), taught, shares)
    return pl.DataFrame(
        {
            "id": extra.frame["id"],
            "fold": extra.folds,
            **dict(zip(PROBABILITIES, shares.T, strict=True)),
            WEIGHT: training.weight,
            TIE_KNOWN: training.tie_known,
        }
    )
