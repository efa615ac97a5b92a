"""What is made of a shard: the columns of a file of battles, or the vectors of its texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import polars as pl

from featlab.battles import BattleSchema, explained, read_battles
from featlab.encoder.spec import MINILM, EncoderSpec
from featlab.errors import BattleError
from featlab.features import BattleColumns
from featlab.files import value_fingerprint
from featlab.transformers.embedder import Read, TextEmbedder
from featlab.vectors import Mode
from featlab.vectors.source import LoadEncoder
from featlab.versions import versions


class ShardTask(Protocol):
    """Makes one file of another; travels to workers by pickle."""

    def fingerprint(self) -> str:
        """Return what changes when the file that `write` makes of a source could."""

    def write(self, source: Path, target: Path) -> None:
        """Make the parquet file `target` of the file `source`."""


@dataclass(frozen=True)
class FeatureShards:
    """Features of battles, streamed from file to file in bounded memory.

    Parameters
    ----------
    columns : BattleColumns
    schema : BattleSchema, optional
        Which column of the sources plays which role; each is recognised by default.

    Raises
    ------
    BattleError
        By `write`, for a source that cannot be read or repeats an id.
    """

    columns: BattleColumns = field(default_factory=BattleColumns)
    schema: BattleSchema | None = None

    def fingerprint(self) -> str:
        """Identify the columns' expressions, the schema and the versions in use."""
        return value_fingerprint([self.columns.fingerprint(), repr(self.schema), versions()])

    def write(self, source: Path, target: Path) -> None:
        """Write ``id`` and the columns, one row a battle in the source's order."""
        with explained(source, self.schema):
            self.columns.compute(read_battles(source, self.schema)).sink_parquet(target)
            _check_ids(pl.read_parquet(target, columns=["id"])["id"], source)


@dataclass(frozen=True)
class EmbeddingShards:
    """Vectors of battles' texts: ``id``, and one Array(Float32) column for each text read.

    A shard's texts and vectors are held in memory: make shards of at most some
    hundred thousand battles. The encoder is loaded once for as long as the task
    lives, which on Ray is as long as the worker.

    Parameters
    ----------
    read : sequence of str or (str, str)
        ``prompt``, ``response_a``, ``response_b``, or pairs (prompt, response)
        that are read as one sequence.
    schema : BattleSchema, optional
        Which column of the sources plays which role; each is recognised by default.
    spec, mode, store, device, load_encoder
        As `featlab.TextEmbedder` takes them.

    Raises
    ------
    BattleError, StoreError, WeightsError
        By `write`.
    """

    read: tuple[Read, ...] = ("response_a", "response_b")
    schema: BattleSchema | None = None
    spec: EncoderSpec = MINILM
    mode: Mode = "off"
    store: Path | None = None
    device: str = "auto"
    load_encoder: LoadEncoder | None = None

    @cached_property
    def _embedder(self) -> TextEmbedder:
        embedder = TextEmbedder(
            list(self.read),
            spec=self.spec,
            store=self.store,
            mode=self.mode,
            layout="array",
            device=self.device,
            load_encoder=self.load_encoder,
        )
        return embedder.set_output(transform="polars")

    def fingerprint(self) -> str:
        """Identify what is read, the encoder, the schema and the versions in use."""
        return value_fingerprint(
            [list(self.read), repr(self.spec), repr(self.schema), self.device, versions()]
        )

    def write(self, source: Path, target: Path) -> None:
        """Write ``id`` and the vectors, one row a battle in the source's order."""
        with explained(source, self.schema):
            lazy = read_battles(source, self.schema)
            if not hasattr(self._embedder, "columns_"):
                self._embedder.fit(lazy)
            battles = lazy.select("id", *self._embedder.feature_names_in_).collect()
        _check_ids(battles["id"], source)
        vectors = self._embedder.transform(battles)
        assert isinstance(vectors, pl.DataFrame)
        pl.concat([battles.select("id"), vectors], how="horizontal").write_parquet(target)


def _check_ids(ids: pl.Series, source: Path) -> None:
    repeated = ids.filter(ids.is_duplicated()).unique(maintain_order=True).head(5).to_list()
    if repeated:
        raise BattleError("holds duplicates", source=str(source), column="id", rows=repeated)
