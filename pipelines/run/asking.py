"""What commands that ask a trained run share: loading it, and handing rows over."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import models
from featlab.battles import check_battles
from featlab.files import atomic_path, check_output
from featlab.progress import note
from models.loaded import LoadedPredictor
from pipelines.run.battle_source import read_source
from pipelines.run.given_files import files_to_read, with_given
from pipelines.run.settings import EvaluateSettings, OneBattleSettings, PredictingSettings


def loaded(settings: PredictingSettings) -> LoadedPredictor:
    """Return the predictor that a command names."""
    return models.load(settings.run, settings.trust, files_to_read(settings.given))


def asked_file(
    model: LoadedPredictor,
    settings: OneBattleSettings | EvaluateSettings,
    *,
    outcomes: bool = False,
) -> tuple[Path | pl.DataFrame, int]:
    """Return the file that a command names, and how many battles it holds, after a look at it.

    Parameters
    ----------
    model : LoadedPredictor
        Reads it as the settings say from now on, where they say anything.
    settings : OneBattleSettings or EvaluateSettings
    outcomes : bool
        Whether it has to state outcomes.

    Raises
    ------
    BattleError
        When it is no file of battles, or lacks some ids or outcomes.
    ConfigError
        When a file of probabilities that the ensemble reads is not given.
    FileError
        When the output would take its place.
    """
    file = settings.file or ""
    if settings.out is not None:
        check_output(settings.out, Path(file))
    with_given(model.ensemble, settings.given)
    source = read_source(file)
    if settings.battles.by_hand:
        model.schema = settings.battles.recognised(source).schema
    schema = model.schema_of(source, outcomes=outcomes)
    if schema.id is None:
        note(f"{file}: there is no column of ids; rows are numbered from 0")
    count = check_battles(
        source, schema, outcomes=outcomes, require_outcome=outcomes, unique_ids=False
    )
    return source, count


def hand_over(rows: pl.DataFrame, out: Path | None, what: str) -> None:
    """Write rows as CSV into a file, whole or not at all, and say `what`; or print them."""
    if out is None:
        rows.write_csv(sys.stdout)
        return
    with atomic_path(out) as path:
        rows.write_csv(path)
    note(f"{what}: {out}")
