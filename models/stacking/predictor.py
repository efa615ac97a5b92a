"""The whole predictor: signals, the blend of trees and kernel, temperature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.battles import OUTCOMES, TIE
from featlab.columns import Column
from featlab.errors import BattleError
from featlab.signals.given import GivenSignal, given_signal
from featlab.signals.signal import Need, Signal
from featlab.threads import in_threads, one_blas_thread
from models.probabilities import Probabilities
from models.stacking.blend import Blend
from models.stacking.calibration import apply_temperature
from models.stacking.out_of_fold import mean_columns
from models.stacking.table import stacked_columns, stacked_frame
from models.stacking.trained_on import TrainedOn

BATCH = 1_000
FIRST = 200
"""Battles of the first batch: whoever waits is told after it how long the others take."""


@dataclass(frozen=True)
class Predictor:
    """Predicts the three probabilities of battles it has never seen.

    Parameters
    ----------
    signals : mapping of str to sequence of Signal
        Name -> fitted signals, one a fold or a single one, in the order of the
        table's columns.
    blend : Blend
    temperature : float
    trained_on : TrainedOn, optional
        What is known of the training battles.
    """

    signals: Mapping[str, Sequence[Signal[Any]]] = field(repr=False)
    blend: Blend = field(repr=False)
    temperature: float
    trained_on: TrainedOn | None = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that the members read, in order."""
        return tuple(
            column
            for fitted in self.signals.values()
            for column in stacked_columns(fitted[0].columns())
        )

    @property
    def given(self) -> dict[str, GivenSignal]:
        """The signals of other models' probabilities, by the models' names."""
        return {
            name: fitted[0]
            for name, fitted in self.signals.items()
            if isinstance(fitted[0], GivenSignal)
        }

    def look_for(self, battles: pl.LazyFrame, *, with_ids: bool) -> None:
        """Say how many of the battles that are to be predicted other models say nothing of.

        Parameters
        ----------
        battles : LazyFrame
            All of them, canonical.
        with_ids : bool
            Whether their ids are their own, not the numbers of rows.

        Raises
        ------
        BattleError
            When a file of probabilities is of other battles altogether, or the
            battles have no ids to be found by.
        """
        if not self.given:
            return
        if not with_ids:
            raise BattleError(
                f"have no ids, by which {', '.join(self.given)} would be looked up",
                source="battles",
                remedy="call their column id, or name it with --battles.id",
            )
        ids = battles.select("id").collect()["id"]
        for signal in self.given.values():
            signal.look_for(ids)

    def with_given(self, files: Mapping[str, Path]) -> Predictor:
        """Return the predictor with other models' probabilities of the battles to predict."""
        read = {name: [given_signal(name)(file)] for name, file in files.items()}
        return replace(self, signals={**self.signals, **read})

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that are predicted: a and b, and ties where there were any to learn from."""
        ties = any(model.knows_ties for model in self.blend.kernel.models)
        return OUTCOMES if ties else OUTCOMES[:TIE]

    def table(self, battles: pl.LazyFrame) -> pl.DataFrame:
        """Return `columns` for canonical battles."""

        def made(name: str) -> pl.DataFrame:
            return mean_columns(self.signals[name], battles)

        slow = [name for name, fitted in self.signals.items() if Need.ENCODER in fitted[0].needs]
        quick = [name for name in self.signals if name not in slow]
        # Side by side, since a single battle keeps no second thread busy; an encoder takes all.
        with one_blas_thread():
            frames = dict(zip(quick, in_threads(made, quick), strict=True))
        frames |= {name: made(name) for name in slow}
        joined = pl.concat((frames[name] for name in self.signals), how="horizontal")
        return stacked_frame(joined, self.columns)

    def predict(
        self, battles: pl.LazyFrame, on_batch: Callable[[int], None] | None = None
    ) -> tuple[pl.Series, Probabilities]:
        """Return ids in input order and calibrated probabilities, float64 of shape (n, 3).

        Battles are read and predicted `BATCH` at a time, `FIRST` at first, so
        memory does not grow with their number. Exchanging the sides of a battle
        exchanges its first two probabilities exactly.

        Parameters
        ----------
        battles : LazyFrame
            Canonical battles.
        on_batch : callable, optional
            Called with the number of predicted battles, after each batch.
        """
        ids: list[pl.Series] = []
        parts: list[Probabilities] = []
        done = 0
        for batch in _batches(battles):
            raw = self.blend.predict(self.table(batch.lazy()))
            ids.append(batch["id"])
            parts.append(apply_temperature(raw, self.temperature))
            done += len(batch)
            if on_batch is not None:
                on_batch(done)
        if not parts:
            return pl.Series("id", [], pl.Int64), np.empty((0, 3))
        return pl.concat(ids), np.concatenate(parts)


def _batches(battles: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    first = True
    for batch in battles.collect_batches(chunk_size=BATCH, engine="streaming"):
        if first:
            yield batch[:FIRST]
            batch, first = batch[FIRST:], False
        if not batch.is_empty():
            yield batch
