"""What a bundle remembers of its training battles: means of even columns, and hashed texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.turns import joined_turns
from featlab.parity import Parity
from featlab.signals.state import State
from models.stacking.table import Table

Hashes = NDArray[np.uint64]

NAME = "trained_on"
_BATCH = 5_000
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Overlap:
    """How many battles of a file stand among the training battles.

    Parameters
    ----------
    battles : int
        All battles of the file.
    ids, texts : int
        Those whose id, or whose prompt and responses, in either order, were
        trained on.
    """

    battles: int
    ids: int
    texts: int

    def __str__(self) -> str:
        if not self.ids and not self.texts:
            return f"none of {self.battles:,} battles stands in the training data"
        return (
            f"of {self.battles:,} battles, the ids of {self.ids:,} and the texts of "
            f"{self.texts:,} stand in the training data"
            + ("; predictions of those look better than they are" if self.texts else "")
        )


@dataclass(frozen=True)
class TrainedOn:
    """Training battles, as far as predicting and explaining need them.

    Parameters
    ----------
    means : mapping of str to float
        Even column -> its mean, where it was present.
    ids, texts : sorted uint64 arrays
        64 bits of a hash of each id, and of each prompt with its two responses.
    """

    means: Mapping[str, float] = field(repr=False)
    ids: Hashes = field(repr=False)
    texts: Hashes = field(repr=False)

    @classmethod
    def of(cls, table: Table, battles: pl.LazyFrame) -> Self:
        """Measure a table, and hash the canonical battles that it is of."""
        return cls(even_means(table), *map(np.unique, _hashes(battles)))

    def overlap(self, battles: pl.LazyFrame) -> Overlap:
        """Count the battles that were trained on."""
        ids, texts = _hashes(battles)
        return Overlap(
            len(ids), int(np.isin(ids, self.ids).sum()), int(np.isin(texts, self.texts).sum())
        )

    def state(self) -> State:
        """Return it as arrays and names."""
        means = np.array(list(self.means.values()), np.float64)
        arrays = {"means": means, "ids": self.ids, "texts": self.texts}
        return State(arrays, {"even": list(self.means)})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return what a state describes."""
        means = dict(zip(state.values["even"], map(float, state.arrays["means"]), strict=True))
        return cls(means, state.arrays["ids"], state.arrays["texts"])


def even_means(table: Table) -> dict[str, float]:
    """Return even column -> its mean over the battles of a table, where it was finite."""
    even = [column.name for column in table.columns if column.parity is Parity.EVEN]
    values = pl.col(even).cast(pl.Float64)
    means = table.frame.select(pl.when(values.is_finite()).then(values).mean())
    return {name: float(mean or 0.0) for name, mean in means.row(0, named=True).items()}


def _hashes(battles: pl.LazyFrame) -> tuple[Hashes, Hashes]:
    a, b = joined_turns("response_a"), joined_turns("response_b")
    # Smaller text first, so that a battle and its mirror image are one.
    texts = pl.concat_str(
        joined_turns("prompt"),
        pl.when(a < b).then(a).otherwise(b),
        pl.when(a < b).then(b).otherwise(a),
        separator=_SEPARATOR,
    )
    query = battles.select(pl.col("id").cast(pl.String), texts.alias("texts"))
    ids: list[int] = []
    hashed: list[int] = []
    for batch in query.collect_batches(chunk_size=_BATCH, engine="streaming"):
        ids += _hashed(batch["id"])
        hashed += _hashed(batch["texts"])
    return np.array(ids, np.uint64), np.array(hashed, np.uint64)


def _hashed(texts: Iterable[str]) -> list[int]:
    return [
        int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts
    ]
