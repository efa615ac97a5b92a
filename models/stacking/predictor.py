"""The whole predictor: signals, the blend of trees and kernel half, temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from featlab.features import BattleColumns
from models.evaluation.metrics import Probabilities
from models.stacking.blend import Blend
from models.stacking.calibration import apply_temperature
from models.stacking.margin_sizes import margin_sizes
from models.stacking.out_of_fold import FittedSignal, mean_transform

BATCH = 5_000


@dataclass(frozen=True)
class Ensemble:
    """Predicts the three probabilities of battles it has never seen.

    Parameters
    ----------
    text : BattleColumns
        The text signal's columns.
    fitted : mapping of str to sequence of FittedSignal
        Signals that learned, one model a fold.
    blend : Blend
    temperature : float
    """

    text: BattleColumns
    fitted: Mapping[str, Sequence[FittedSignal]] = field(repr=False)
    blend: Blend
    temperature: float

    def signals(self, battles: pl.DataFrame) -> pl.DataFrame:
        """``id`` and every signal's columns for canonical battles."""
        frames = [self.text.compute(battles.lazy()).collect()]
        frames += [mean_transform(models, battles) for models in self.fitted.values()]
        joined = pl.concat(frames, how="horizontal")
        return joined.with_columns(margin_sizes(joined.columns))

    def predict(
        self, battles: pl.LazyFrame, on_batch: Callable[[int], None] | None = None
    ) -> tuple[pl.Series, Probabilities]:
        """Ids in input order and calibrated probabilities, float64 of shape (n, 3).

        Battles are read and predicted `BATCH` at a time, so memory does not
        grow with their number. Exchanging the sides of a battle exchanges its
        first two probabilities exactly.
        """
        ids: list[pl.Series] = []
        parts: list[Probabilities] = []
        start = 0
        while True:
            batch = battles.slice(start, BATCH).collect(engine="streaming")
            if batch.is_empty():
                break
            raw = self.blend.predict(self.signals(batch))
            ids.append(batch["id"])
            parts.append(apply_temperature(raw, self.temperature))
            start += len(batch)
            if on_batch is not None:
                on_batch(start)
        if not parts:
            return pl.Series("id", [], pl.Int64), np.empty((0, 3))
        return pl.concat(ids), np.concatenate(parts)
