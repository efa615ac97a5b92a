"""A signal that says of every row whether it was fitted on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import polars as pl

from featlab.columns import Column
from featlab.parity import Parity
from featlab.signals import Context, Cost, Need, Outcomes, Rows, Signal, State

POISON = 10**9
"""A label that shows in `share` wherever a signal read it."""


class Remembering(Signal[pl.DataFrame]):
    """Its columns: was the row seen, the battle's id, and the mean label of the rows seen.

    Into the list ``log`` of the context's options it writes what it prepares.
    """

    name = "remembering"

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log = [] if log is None else log
        self.seen: Rows = np.array([], np.int64)
        self.share = 0.0

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        return cls(context.options.get("log"))

    def columns(self) -> tuple[Column, ...]:
        sides = ("response_a", "response_b")
        return (
            *(Column(name, Parity.EVEN, "memory", name) for name in ("seen", "id_again", "share")),
            *(Column(f"{side}__side", Parity.SIDE, "memory", "nothing") for side in sides),
        )

    def prepare(self, battles: pl.LazyFrame) -> pl.DataFrame:
        prepared = battles.collect()
        self.log.append(prepared.columns)
        return prepared

    def fit(self, prepared: pl.DataFrame, outcomes: Outcomes, rows: Rows) -> Self:
        self.seen, self.share = rows, float(outcomes.labels[rows].mean())
        return self

    def transform(self, prepared: pl.DataFrame, rows: Rows | None = None) -> pl.DataFrame:
        shown = np.arange(len(prepared)) if rows is None else rows
        self.log.append((set(self.seen.tolist()), set(shown.tolist())))
        nothing = np.zeros(len(shown))
        columns = (np.isin(shown, self.seen), prepared["id"][shown], nothing + self.share)
        return pl.DataFrame(
            [*map(pl.Series, columns), pl.Series(nothing), pl.Series(nothing)],
            schema=[column.name for column in self.columns()],
        ).cast(pl.Float32)

    def state(self) -> State:
        return State({"seen": self.seen}, {"share": self.share})

    @classmethod
    def from_state(cls, state: State) -> Self:
        signal = cls()
        signal.seen, signal.share = state.arrays["seen"], state.values["share"]
        return signal


class OneAfterAnother(Remembering):
    """The same, one fold at a time."""

    cost = Cost.WHOLE_MACHINE


class Unlearned(Remembering):
    """The same, with nothing to fit."""

    cost = Cost.NOTHING


class Reading(Unlearned):
    """The same, slow as what needs an encoder; its columns are called otherwise."""

    name = "reading"
    needs = frozenset({Need.ENCODER})

    def columns(self) -> tuple[Column, ...]:
        return tuple(replace(column, name=f"{column.name}_read") for column in super().columns())
