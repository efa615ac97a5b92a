"""Another model's probabilities as a signal: what it said of battles that it had not learned from.

A fine-tuned language model takes days and other software; its out-of-fold
probabilities are a file of four columns. From them come an odd column, the log
odds of a against b, and two even ones, the log odds of a tie and whether the
model says anything at all, so both orders of a battle are there although the
file holds one.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import polars as pl

from featlab.battles.probability_files import read_probabilities
from featlab.battles.schema import PROBABILITIES
from featlab.columns import Column, Kind
from featlab.errors import BattleError, ConfigError
from featlab.files import file_fingerprint
from featlab.parity import Parity
from featlab.progress import note
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Cost, Signal
from featlab.signals.state import State

ADDRESS = "given:"
"""How bundles name such signals, followed by the signal's name."""

LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that log odds are finite."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARTS = ("margin", "tie", "missing")


class GivenSignal(Signal[pl.DataFrame]):
    """The probabilities of one other model; made by `given_signal`, which names it.

    Parameters
    ----------
    file : Path, optional
        ``id`` and the submission's columns; without it, every battle is one
        that the model says nothing of.
    """

    cost = Cost.NOTHING

    def __init__(self, file: Path | None = None) -> None:
        self.file = file

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the signal of the file that the settings name."""
        return cls(Path(context.options["given"][cls.name]))

    def columns(self) -> tuple[Column, ...]:
        """Return the margin, the chance of a tie, and whether there is neither."""
        said = (
            (Parity.ODD, f"log odds that a beats b, by {self.name}", Kind.MARGIN),
            (Parity.EVEN, f"log odds of a tie, by {self.name}", Kind.SCALAR),
            (Parity.EVEN, f"1 where {self.name} says nothing", Kind.SCALAR),
        )
        return tuple(
            Column(f"{self.name}__{part}", parity, self.name, meaning, kind)
            for part, (parity, meaning, kind) in zip(_PARTS, said, strict=True)
        )

    @cached_property
    def said(self) -> pl.DataFrame:
        """What the file says: ``id, margin, tie``."""
        empty = {"id": pl.String, "margin": pl.Float64, "tie": pl.Float64}
        return pl.DataFrame(schema=empty) if self.file is None else read_given(self.file)

    def look_for(self, ids: pl.Series) -> None:
        """Say how many of all battles that are asked for are not in the file.

        Raises
        ------
        BattleError
            When the file is broken, or of other battles altogether.
        """
        ids = ids.cast(pl.String)
        missing = int((~ids.is_in(self.said["id"].implode())).sum())
        if self.file is None or not missing:
            return
        if missing == len(ids):
            raise BattleError(
                "holds none of the battles' ids",
                source=str(self.file),
                rows=self.said["id"].head(3).to_list(),
                remedy=f"the battles' are {', '.join(ids.head(3).to_list())}, ...",
            )
        note(f"{self.name}: {missing:,} of {len(ids):,} battles are not in {self.file}")

    def prepare(self, battles: pl.LazyFrame) -> pl.DataFrame:
        """Look every battle up by its id; of one without an id the file says nothing."""
        ids = battles.select(pl.col("id").cast(pl.String)).collect()
        found = ids.join(self.said, on="id", how="left", maintain_order="left")
        return found.select(
            pl.col("margin").cast(pl.Float32).alias(f"{self.name}__margin"),
            pl.col("tie").cast(pl.Float32).alias(f"{self.name}__tie"),
            pl.col("margin").is_null().cast(pl.Float32).alias(f"{self.name}__missing"),
        )

    def fit(self, prepared: pl.DataFrame, outcomes: Outcomes, rows: Rows) -> Self:
        """Return itself: the other model has learned already."""
        return self

    def transform(self, prepared: pl.DataFrame, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all."""
        return prepared if rows is None else prepared[rows]

    def state(self) -> State:
        """Return nothing: new battles come with a file of their own."""
        return State()

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the signal without a file."""
        return cls()

    def recipe(self) -> dict[str, Any]:
        """Return the file's content, however it is called."""
        return {"file": None if self.file is None else file_fingerprint(self.file)}


@lru_cache(maxsize=64)
def given_signal(name: str) -> type[GivenSignal]:
    """Return the class of another model's signal.

    Raises
    ------
    ConfigError
        When the name is not words of a-z, 0-9 and _.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--given {name}: a name is made of a-z, 0-9 and _, a letter first")
    content: dict[str, Any] = {
        "name": name,
        "address": ADDRESS + name,
        "__module__": GivenSignal.__module__,
    }
    return type("GivenSignal", (GivenSignal,), content)


def read_given(file: Path) -> pl.DataFrame:
    """Return ``id, margin, tie`` of a file of probabilities, see `read_probabilities`."""
    a, b, tie = (pl.col(column).clip(LEAST, 1.0 - LEAST) for column in PROBABILITIES)
    return read_probabilities(file).select(
        "id", (a.log() - b.log()).alias("margin"), (tie / (1.0 - tie)).log().alias("tie")
    )
