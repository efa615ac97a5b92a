"""The extra battles of a run: read, cleared of the run's own prompts, and accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from featlab.battles import TIE_KNOWN, ExtraFile, read_extra, without_prompts_of
from featlab.errors import BattleError
from featlab.files import file_fingerprint
from pipelines.command_line import say
from pipelines.settings import TrainSettings


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


def load_extra(settings: TrainSettings, battles: pl.DataFrame) -> pl.DataFrame | None:
    """All extra battles but those whose prompt the run holds out somewhere; say what is used.

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
        say(
            f"{extra.path.name}: {len(kept):,} extra battles {ties}, weight {extra.weight:g}; "
            f"{len(read) - len(kept):,} left out because their prompt is among the training battles"
        )
        parts.append(kept)
    return pl.concat(parts, how="diagonal_relaxed") if parts else None
