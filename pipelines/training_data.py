"""The stacker's view of a run: signals joined with labels and folds, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import (
    PROBABILITIES,
    TIE_KNOWN,
    WEIGHT,
    check_battles,
    explained,
    read_battles,
)
from featlab.battles.folds import make_folds
from featlab.errors import ConfigError
from featlab.features import BattleColumns
from featlab.files import atomic_path, file_fingerprint
from featlab.parity import Parity
from models.stacking.margin_sizes import margin_sizes, with_margin_sizes
from models.stacking.table import ExtraRows, StackingData
from pipelines.extra_battles import extra_inputs, extra_outcomes, load_extra
from pipelines.features import training_file
from pipelines.run.folder import RunFolder
from pipelines.run.settings import TrainSettings


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
        code=("featlab.battles", "featlab.battles.folds"),
        make=make,
    )


def write_extra(settings: TrainSettings, text: BattleColumns) -> None:
    """Make the outcomes and the text signal of the extra battles, where there are any."""
    run = RunFolder(settings.run)
    if not settings.extra:
        # What another call left behind must not join this one.
        run.extra_outcomes.unlink(missing_ok=True)
        return
    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()

    def make() -> None:
        run.extra_outcomes.unlink(missing_ok=True)
        with explained(source, schema):
            battles = read_battles(source, schema, require_outcome=True).collect()
        extra = load_extra(settings, battles, tell=True)
        if extra is None:
            return
        columns = text.compute(extra.frame.lazy()).collect(engine="streaming")
        with atomic_path(run.extra_signal("text")) as path:
            columns.write_parquet(path)
        with atomic_path(run.extra_outcomes) as path:
            extra_outcomes(extra).write_parquet(path)

    run.stage(
        "extra",
        inputs={
            "battles": file_fingerprint(source),
            "schema": repr(schema),
            "columns": text.fingerprint(),
            "folds": settings.folds,
            "seed": settings.seed,
            "extra": extra_inputs(settings),
        },
        outputs=[run.extra_outcomes, run.extra_signal("text")],
        code=(
            "featlab.battles",
            "featlab.features",
            "featlab.battles.folds",
            "pipelines.extra_battles",
        ),
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
    """Join folds and signals, of the run's own battles and of extra ones where it has any.

    Raises
    ------
    ConfigError
        When a signal's rows are not those of the folds.
    """
    folds = pl.read_parquet(run.folds)
    own = {name: run.signal(name) for name in signals}
    return TrainingData(
        ids=folds["id"],
        stacking=StackingData(
            frame=_joined(own, signals, run.folds, folds["id"]),
            parity={name: kind for columns in signals.values() for name, kind in columns.items()},
            labels=folds["label"].to_numpy().astype(np.int64),
            folds=folds["fold"].to_numpy().astype(np.int64),
            extra=_extra_rows(run, signals),
        ),
        groups=folds["group"].to_numpy(),
        signals=signals,
    )


def _extra_rows(run: RunFolder, signals: Mapping[str, Mapping[str, Parity]]) -> ExtraRows | None:
    if not run.extra_outcomes.is_file():
        return None
    outcomes = pl.read_parquet(run.extra_outcomes)
    files = {name: run.extra_signal(name) for name in signals}
    return ExtraRows(
        frame=_joined(files, signals, run.extra_outcomes, outcomes["id"]),
        shares=outcomes.select(PROBABILITIES).to_numpy(),
        weight=outcomes[WEIGHT].to_numpy(),
        tie_known=outcomes[TIE_KNOWN].to_numpy(),
        folds=outcomes["fold"].to_numpy().astype(np.int64),
    )


def _joined(
    files: Mapping[str, Path],
    signals: Mapping[str, Mapping[str, Parity]],
    stated: Path,
    ids: pl.Series,
) -> pl.DataFrame:
    """The columns of every signal side by side, whose rows must be the ids that a file states."""
    frames = []
    for name, columns in signals.items():
        made = pl.read_parquet(files[name])
        frame = made.with_columns(margin_sizes(made.columns)).select("id", *columns)
        if not frame["id"].equals(ids):
            raise ConfigError(
                f"{files[name]} holds other battles than {stated}; use another run folder"
            )
        frames.append(frame.drop("id"))
    return pl.concat(frames, how="horizontal")


def refold(settings: TrainSettings, source: Path, seed: int) -> NDArray[np.int64]:
    """Fold numbers of another folding of the same battles."""
    battles = read_battles(source, settings.battles.schema_of_battles())
    return make_folds(battles, settings.folds, seed)["fold"].to_numpy().astype(np.int64)
