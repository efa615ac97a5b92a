"""A feature and a signal of one's own. Here the side that shouts more wins."""

from functools import partial
from typing import Self

import numpy as np
import polars as pl

from featlab import (
    BattleColumns,
    Column,
    Context,
    Cost,
    Feature,
    Kind,
    Outcomes,
    Parity,
    Signal,
    State,
    read_battles,
)
from featlab.features.pairing import DIFFERENCE
from featlab.features.text import Text
from featlab.signals.outcomes import Rows
from models.stacking.out_of_fold import out_of_fold

build = partial(Text.count, pattern="[A-Z]")
CAPITALS = Feature("capitals", build, pl.UInt32, "mine", "capital letters", pairings=(DIFFERENCE,))
COLUMN = Column("shouting", Parity.ODD, "shouting", "log odds that a wins", Kind.MARGIN)


class Shouting(Signal[pl.Series]):
    """How much more A shouts than B, as far as that told who won the training battles."""

    name = "shouting"
    cost = Cost.ONE_THREAD

    def __init__(self, weight: float = 0.0) -> None:
        self.weight = weight

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        return cls()

    def columns(self) -> tuple[Column, ...]:
        return (COLUMN,)

    def prepare(self, battles: pl.LazyFrame) -> pl.Series:
        return BattleColumns([CAPITALS]).compute(battles).collect()["capitals__difference"]

    def fit(self, prepared: pl.Series, outcomes: Outcomes, rows: Rows) -> Self:
        won = outcomes.shares[rows, 0] - outcomes.shares[rows, 1]
        self.weight = float((prepared.to_numpy()[rows] * won).mean())
        return self

    def transform(self, prepared: pl.Series, rows: Rows | None = None) -> pl.DataFrame:
        chosen = prepared if rows is None else prepared[rows]
        return pl.DataFrame({"shouting": chosen.cast(pl.Float32) * self.weight})

    def state(self) -> State:
        return State(values={"weight": self.weight})

    @classmethod
    def from_state(cls, state: State) -> Self:
        return cls(state.values["weight"])


rng = np.random.default_rng(0)
a, b = rng.integers(1, 9, (2, 300))
texts = {"prompt": map(str, range(300)), "response_a": np.array("So? ", object) * a}
won = np.where(a > b, "model_a", "model_b")
frame = pl.DataFrame({**texts, "response_b": np.array("So? ", object) * b, "winner": won})
battles = read_battles(frame).collect()
folds = np.arange(300) % 3
found, _ = out_of_fold(Shouting, Context(), battles.lazy(), Outcomes.of(battles), folds)
print(((found["shouting"] > 0) == (battles["label"] == 0)).mean())
