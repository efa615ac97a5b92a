"""What commands that ask a trained run share: loading it, and handing rows over."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import models
from featlab.files import atomic_path
from featlab.progress import note
from models.loaded import LoadedPredictor
from pipelines.run.given_files import files_to_read
from pipelines.run.settings import PredictingSettings


def loaded(settings: PredictingSettings) -> LoadedPredictor:
    """Return the predictor that a command names."""
    return models.load(settings.run, settings.trust, files_to_read(settings.given))


def hand_over(rows: pl.DataFrame, out: Path | None, what: str) -> None:
    """Write rows as CSV into a file, whole or not at all, and say `what`; or print them."""
    if out is None:
        rows.write_csv(sys.stdout)
        return
    with atomic_path(out) as path:
        rows.write_csv(path)
    note(f"{what}: {out}")
