"""The stacker's view of a run: signals joined with labels and folds, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import check_battles, explained, read_battles
from featlab.errors import ConfigError
from featlab.files import atomic_path, file_fingerprint
from featlab.folds import make_folds
from featlab.parity import Parity
from models.margin_sizes import margin_sizes, with_margin_sizes
from models.stacker import StackingData
from pipelines.features import training_file
from pipelines.run_folder import RunFolder
from pipelines.settings import TrainSettings


@dataclass(frozen=True)
class TrainingData:
    """Battles with folds, and every signal's columns in the same order of rows.

    Parameters
    ----------
    ids : Series
    stacking : StackingData
    groups : array, shape (n,)
        Equal for battles of one prompt.
    signals : mapping of str to mapping of str to Parity
        Signal name -> its columns and their parities.
    """

    ids: pl.Series
    stacking: StackingData
    groups: NDArray[Any]
    signals: Mapping[str, Mapping[str, Parity]]


def write_folds(settings: TrainSettings) -> None:
    """Make ``folds.parquet``, after checking ids and outcomes of every battle."""
    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()
    run = RunFolder(settings.run)

    def make() -> None:
        check_battles(source, schema, require_outcome=True)
        battles = read_battles(source, schema, require_outcome=True)
        with explained(source, schema):
            folds = make_folds(battles, settings.folds, settings.seed)
            labels = battles.select("label").collect()
        with atomic_path(run.folds) as path:
            folds.with_columns(labels["label"]).write_parquet(path)

    run.stage(
        "folds",
        inputs={
            "battles": file_fingerprint(source),
            "schema": repr(schema),
            "folds": settings.folds,
            "seed": settings.seed,
        },
        outputs=[run.folds],
        code=("featlab.battles", "featlab.folds"),
        make=make,
    )


def models_are_named(settings: TrainSettings) -> bool:
    """Whether some training battle names both of its models."""
    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()
    battles = read_battles(source, schema, require_outcome=True)
    if not {"model_a", "model_b"} <= set(battles.collect_schema()):
        return False
    named = pl.col("model_a").is_not_null() & pl.col("model_b").is_not_null()
    with explained(source, schema):
        return bool(battles.select(named.any()).collect().item())


def stacked_columns(parity: Mapping[str, Parity]) -> dict[str, Parity]:
    """The columns that the ensemble sees: none that its pairings stand for, and margin sizes."""
    return with_margin_sizes(
        {name: kind for name, kind in parity.items() if kind is not Parity.SIDE}
    )


def load_training_data(run: RunFolder, signals: Mapping[str, Mapping[str, Parity]]) -> TrainingData:
    """Join folds and signals.

    Raises
    ------
    ConfigError
        When a signal's rows are not those of the folds.
    """
    folds = pl.read_parquet(run.folds)
    frames = []
    for name, columns in signals.items():
        made = pl.read_parquet(run.signal(name))
        frame = made.with_columns(margin_sizes(made.columns)).select("id", *columns)
        if not frame["id"].equals(folds["id"]):
            raise ConfigError(
                f"{run.signal(name)} holds other battles than {run.folds}; use another run folder"
            )
        frames.append(frame.drop("id"))
    return TrainingData(
        ids=folds["id"],
        stacking=StackingData(
            frame=pl.concat(frames, how="horizontal"),
            parity={name: kind for columns in signals.values() for name, kind in columns.items()},
            labels=folds["label"].to_numpy().astype(np.int64),
            folds=folds["fold"].to_numpy().astype(np.int64),
        ),
        groups=folds["group"].to_numpy(),
        signals=signals,
    )


def refold(settings: TrainSettings, source: Path, seed: int) -> NDArray[np.int64]:
    """Fold numbers of another folding of the same battles."""
    battles = read_battles(source, settings.battles.schema_of_battles())
    return make_folds(battles, settings.folds, seed)["fold"].to_numpy().astype(np.int64)
