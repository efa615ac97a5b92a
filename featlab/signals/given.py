"""Another model's probabilities as a signal: what it said of battles that it had not learned from.

A fine-tuned language model takes days and other software; its out-of-fold
probabilities are a file of four columns. From them come an odd column, the log
odds of a against b, and two even ones, the log odds of a tie and whether the
model says anything at all, so both orders of a battle are there although the
file holds one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import polars as pl

from featlab.battles.schema import PROBABILITIES
from featlab.battles.sources import engine_explained, scan_source
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

    def prepare(self, battles: pl.LazyFrame) -> pl.DataFrame:
        """Look every battle up by its id, and say how many are not in the file.

        Raises
        ------
        BattleError
            When the file is broken, or of other battles altogether.
        """
        ids = battles.select(pl.col("id").cast(pl.String)).collect()
        empty = {"id": pl.String, "margin": pl.Float64, "tie": pl.Float64}
        known = pl.DataFrame(schema=empty) if self.file is None else read_given(self.file)
        found = ids.join(known, on="id", how="left", maintain_order="left")
        missing = found["margin"].null_count()
        if self.file is not None and missing == len(found):
            raise BattleError(
                "holds none of the battles' ids",
                source=str(self.file),
                rows=known["id"].head(3).to_list(),
                remedy=f"the battles' are {', '.join(ids['id'].head(3).to_list())}, ...",
            )
        if self.file is not None and missing:
            note(f"{self.name}: {missing:,} of {len(found):,} battles are not in {self.file}")
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
    """Return ``id, margin, tie`` of a file of probabilities; rows with a null are left out.

    Raises
    ------
    BattleError
        When the file is not there, lacks a column, repeats an id, or holds
        something other than probabilities.
    """
    name = str(file)
    if not file.is_file():
        raise BattleError("there is no such file", source=name)
    with engine_explained(file, quiet=True):
        frame = scan_source(file).collect()
    try:
        lacking = [column for column in ("id", *PROBABILITIES) if column not in frame.columns]
        if lacking:
            raise BattleError(
                f"has no column {', '.join(lacking)}",
                source=name,
                remedy=f"it needs id,{','.join(PROBABILITIES)}",
            )
        frame = frame.select(
            pl.col("id").cast(pl.String), pl.col(PROBABILITIES).cast(pl.Float64)
        ).drop_nulls()
    except pl.exceptions.PolarsError as error:
        raise BattleError(f"cannot be read: {error}", source=name) from None
    if frame["id"].is_duplicated().any():
        raise BattleError(
            "repeats",
            source=name,
            column="id",
            rows=frame.filter(pl.col("id").is_duplicated())["id"].unique().head(3).to_list(),
        )
    a, b, tie = (pl.col(column) for column in PROBABILITIES)
    good = pl.all_horizontal(pl.col(PROBABILITIES).is_between(0.0, 1.0))
    wrong = frame.filter(~good | ((a + b + tie - 1.0).abs() > 1e-3))
    if not wrong.is_empty():
        raise BattleError(
            "holds rows that are not three probabilities with sum 1",
            source=name,
            rows=wrong["id"].head(3).to_list(),
        )
    a, b, tie = (part.clip(LEAST, 1.0 - LEAST) for part in (a, b, tie))
    return frame.select(
        "id", (a.log() - b.log()).alias("margin"), (tie / (1 - tie)).log().alias("tie")
    )
