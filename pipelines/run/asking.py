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
from pipelines.run.settings import OneBattleSettings, PredictingSettings


def loaded(settings: PredictingSettings) -> LoadedPredictor:
    """Return the predictor that a command names."""
    return models.load(settings.run, settings.trust, files_to_read(settings.given))


def read_battles_of(model: LoadedPredictor, settings: OneBattleSettings) -> pl.LazyFrame:
    """Return the battles of the file that a command names, after a look at its ids.

    Raises
    ------
    BattleError
        When the file is no file of battles, or lacks some ids.
    ConfigError
        When a file of probabilities that the ensemble reads is not given.
    FileError
        When the output would take its place.
    """
    file = settings.file or ""
    with_given(model.ensemble, settings.given)
    if settings.out is not None:
        check_output(settings.out, Path(file))
    source = read_source(file)
    schema = model.schema_of(source)
    if schema.id is None:
        note(f"{file}: there is no column of ids; rows are numbered from 0")
    check_battles(source, schema, outcomes=False, unique_ids=False)
    return model.read(source)


def hand_over(rows: pl.DataFrame, out: Path | None, what: str) -> None:
    """Write rows as CSV into a file, whole or not at all, and say `what`; or print them."""
    if out is None:
        rows.write_csv(sys.stdout)
        return
    with atomic_path(out) as path:
        rows.write_csv(path)
    note(f"{what}: {out}")
