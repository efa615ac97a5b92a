"""Files of other models' probabilities: how they are named, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from featlab.errors import ConfigError
from featlab.progress import note
from featlab.signals.given import given_signal, read_given
from models.probabilities import Labels, Probabilities, log_loss, prior, row_log_loss
from pipelines.run.folder import RunFolder

if TYPE_CHECKING:
    from models.stacking.predictor import Predictor

SUSPICIOUS = 0.5
"""Of the prior's loss: votes are too noisy for any honest prediction to come so low."""

FEWEST = 30
"""Test battles from which the two are compared."""

BETTER = 0.1
"""Nats by which training battles may cost it less than it expects test battles to."""


def parse_given(given: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return name -> files of ``NAME=FILE[,FILE]``.

    Raises
    ------
    ConfigError
        When one is of another form, or a name comes twice.

    Examples
    --------
    >>> parse_given(["llm=train.csv,test.csv"])
    {'llm': (PosixPath('train.csv'), PosixPath('test.csv'))}
    """
    found: dict[str, tuple[Path, ...]] = {}
    for one in given:
        name, _, files = one.partition("=")
        paths = tuple(Path(file) for file in files.split(",") if file)
        if not 1 <= len(paths) <= 2 or name in found:
            raise ConfigError(f"--given {one}: give NAME=train.csv or NAME=train.csv,test.csv")
        found[name] = paths
    return found


def training_files(given: Sequence[str]) -> dict[str, str]:
    """Return name -> the file of out-of-fold probabilities."""
    return {name: str(files[0]) for name, files in parse_given(given).items()}


def files_to_read(given: Sequence[str]) -> dict[str, Path]:
    """Return name -> the file of probabilities of battles to predict."""
    return {name: files[-1] for name, files in parse_given(given).items()}


def with_given(
    predictor: Predictor, given: Sequence[str], trained: Sequence[str] = ()
) -> Predictor:
    """Return a predictor that reads other models' probabilities of the battles to predict.

    Parameters
    ----------
    predictor : Predictor
    given : sequence of str
        ``NAME=FILE``, or as a training takes it: the last file counts.
    trained : sequence of str
        What the training was given, whose second files serve by default.

    Raises
    ------
    ConfigError
        When a model's file is missing, or one is given of a model that the
        predictor does not read.
    """
    defaults = {name: files for name, files in parse_given(trained).items() if len(files) > 1}
    files = {name: found[-1] for name, found in {**defaults, **parse_given(given)}.items()}
    wanted = list(predictor.given)
    if missing := [name for name in wanted if name not in files]:
        name = missing[0]
        raise ConfigError(
            f"this ensemble reads the probabilities of {', '.join(missing)}; give them for these "
            f"battles with --given {name}=FILE"
        )
    if unknown := [name for name in files if name not in wanted]:
        raise ConfigError(f"this ensemble reads no probabilities of {', '.join(unknown)}")
    return predictor.with_given(files)


def trained_given(run: RunFolder) -> list[str]:
    """Return what a run's training was given, where its settings are there."""
    if not run.config.is_file():
        return []
    import tomllib

    found: list[str] = tomllib.loads(run.config.read_text(encoding="utf-8")).get("given", [])
    return found


def say_what_they_know(given: Sequence[str], folds: Path) -> None:
    """Say each model's loss on the training battles, and whether it must have seen their labels.

    Either it predicts them too well, or better than it expects to predict the
    test battles, where it was given for those too.
    """
    labelled = pl.read_parquet(folds).select(pl.col("id").cast(pl.String), "label")
    for name, (file, *more) in parse_given(given).items():
        signal = given_signal(name)(file)
        signal.look_for(labelled["id"])
        found = labelled.join(signal.said, on="id", how="inner", maintain_order="left")
        labels = found["label"].to_numpy().astype(np.int64)
        stated = _probabilities(found)
        loss = log_loss(stated, labels)
        guess = log_loss(np.tile(prior(labels), (len(labels), 1)), labels)
        note(f"{name}: log loss {loss:.4f} on {len(found):,} training battles, prior {guess:.4f}")
        if loss < SUSPICIOUS * guess:
            note(
                f"{name}: no model predicts votes that well which has not learned from them; these "
                "look like predictions of its own training battles, and the ensemble will trust "
                "them on new battles where they are worth far less. Give out-of-fold probabilities"
            )
        elif more and _unlike(stated, labels, _probabilities(read_given(more[0]))):
            note(
                f"{name}: it does better on the training battles than it expects to on the "
                "test battles, as one does that has learned from them. Give out-of-fold predictions"
            )


def _unlike(training: Probabilities, labels: Labels, test: Probabilities) -> bool:
    """Return whether training battles cost clearly less than is expected of test battles."""
    from scipy.special import entr

    known, expected = row_log_loss(training, labels), entr(test).sum(axis=1)
    error = np.sqrt(known.var() / len(known) + expected.var() / max(len(expected), 1))
    gap = float(expected.mean() - known.mean()) if len(expected) >= FEWEST else 0.0
    return bool(gap > BETTER + 3 * error)


def _probabilities(found: pl.DataFrame) -> Probabilities:
    from models.stacking.kernel import joined_probabilities

    margin, tie = found["margin"].to_numpy(), found["tie"].to_numpy()
    return joined_probabilities(margin, tie)
