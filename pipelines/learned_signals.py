"""The signals that learn: made out of fold, kept in the run folder, loaded into the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.battles import explained, read_battles
from featlab.files import atomic_path, file_fingerprint
from featlab.parity import Parity
from featlab.randomness import derive_seed
from models.preference.soft_labels import with_soft_labels
from models.stacking.out_of_fold import FittedSignal, out_of_fold
from pipelines.extra_battles import extra_inputs, given_file_fingerprint, load_extra
from pipelines.features import training_file
from pipelines.run.console import progress
from pipelines.run.folder import RunFolder
from pipelines.run.presets import Recipe
from pipelines.run.settings import TrainSettings

CODE: Mapping[str, tuple[str, ...]] = {
    "lexical": ("featlab.signals",),
    "identity": ("featlab.signals",),
    "embedding": (
        "featlab.encoder",
        "featlab.vectors.passages",
        "featlab.signals.embedding",
        "featlab.vectors",
        "featlab.vectors.source",
    ),
    "encoder": ("featlab.encoder", "models.preference"),
}
"""Signal -> the source that shapes its columns, `models.stacking.out_of_fold` apart."""

ONE_THREADED = ("lexical", "identity")
"""Signals whose folds are fitted side by side; an encoder takes every core for one."""


def compute_learned_signal(name: str, settings: TrainSettings, recipe: Recipe) -> dict[str, Parity]:
    """Make ``signals/{name}.parquet`` and its fold models where they are not there yet.

    Returns
    -------
    Column name -> parity.
    """
    run = RunFolder(settings.run)
    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()

    def make() -> None:
        with explained(source, schema):
            battles = read_battles(source, schema, require_outcome=True).collect()
        if name == "encoder" and settings.encoder.soft_labels is not None:
            battles = with_soft_labels(battles, settings.encoder.soft_labels)
        extra = load_extra(settings, battles)
        folds = pl.read_parquet(run.folds)["fold"].to_numpy().astype(np.int64)
        count = len(np.unique(folds))
        with progress(name, count) as advance:
            columns, fitted = out_of_fold(
                signal_maker(name, settings, recipe, run),
                battles,
                folds,
                on_fold=advance,
                extra=extra,
                side_by_side=name in ONE_THREADED,
            )
        for fold, signal in enumerate(fitted):
            signal.save(run.fitted(name) / str(fold))
        with atomic_path(run.signal(name)) as path:
            own = columns.head(len(battles))
            own.insert_column(0, battles["id"]).write_parquet(path)
        if extra is not None:
            with atomic_path(run.extra_signal(name)) as path:
                rest = columns.tail(len(extra.frame))
                rest.insert_column(0, extra.frame["id"]).write_parquet(path)

    run.stage(
        name,
        inputs={
            "battles": file_fingerprint(source),
            "schema": repr(schema),
            "folds": file_fingerprint(run.folds),
            "seed": settings.seed,
            "extra": extra_inputs(settings),
            **_inputs(name, settings, recipe),
        },
        outputs=[
            run.signal(name),
            run.fitted(name),
            *([run.extra_signal(name)] if settings.extra else []),
        ],
        code=("models.stacking.out_of_fold", *CODE[name]),
        make=make,
    )
    return load_fitted(name, run)[0].parity()


def load_fitted(name: str, run: RunFolder) -> list[FittedSignal]:
    """The fold models of a signal, in the order of the folds."""
    kind = _kind(name)
    folders = sorted(run.fitted(name).iterdir(), key=lambda folder: int(folder.name))
    return [kind.load(folder) for folder in folders]


def _kind(name: str) -> type[FittedSignal]:
    # Imported on use: torch takes seconds and is needed by encoders only.
    if name == "lexical":
        from featlab.signals.lexical.signal import LexicalSignal

        return LexicalSignal
    if name == "identity":
        from featlab.signals.identity.signal import IdentitySignal

        return IdentitySignal
    if name == "embedding":
        from featlab.signals.embedding import EmbeddingSignal

        return EmbeddingSignal
    from models.preference.encoder_signal import EncoderSignal

    return EncoderSignal


def _inputs(name: str, settings: TrainSettings, recipe: Recipe) -> dict[str, Any]:
    """What shapes a signal besides battles and folds."""
    if name in ("lexical", "identity"):
        return {}
    assert recipe.encoder is not None
    inputs: dict[str, Any] = {"encoder": recipe.encoder.id}
    if name == "encoder":
        inputs["fine_tuning"] = settings.encoder.fine_tuning().to_dict()
        if settings.encoder.soft_labels is not None:
            inputs["soft_labels"] = given_file_fingerprint(settings.encoder.soft_labels)
    return inputs


def signal_maker(
    name: str, settings: TrainSettings, recipe: Recipe, run: RunFolder
) -> Callable[[int], FittedSignal]:
    """From a fold's number to the signal that is fitted without that fold."""
    if name == "lexical":
        from featlab.signals.lexical.signal import LexicalSignal

        return lambda fold: LexicalSignal(seed=derive_seed(settings.seed, "lexical", fold))
    if name == "identity":
        from featlab.signals.identity.signal import IdentitySignal

        return lambda fold: IdentitySignal(seed=derive_seed(settings.seed, "identity", fold))
    assert recipe.encoder is not None
    spec = recipe.encoder
    if name == "embedding":
        from featlab.signals.embedding import aligned_signals
        from featlab.vectors.source import VectorSource

        source = VectorSource(spec, store=settings.encoder.store)
        return aligned_signals(source, whole_vectors=True)
    from models.preference.encoder_signal import EncoderSignal

    def make(fold: int) -> FittedSignal:
        seed = derive_seed(settings.seed, "encoder", fold)
        folder = Path(run.fitted(name) / str(fold))
        return EncoderSignal(spec, settings.encoder.fine_tuning(), seed, folder)

    return make
