"""What is made of a shard: the columns of a file of battles, or the vectors of its texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from featlab.battles import ARENA, BattleSchema, explained, read_battles
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
        """Changes when the file that `write` makes of the same source could."""
        ...

    def write(self, source: Path, target: Path) -> None:
        """Make the parquet file `target` of the file `source`."""
        ...


@dataclass(frozen=True)
class FeatureShards:
    """Features of battles, streamed from file to file in bounded memory.

    Parameters
    ----------
    columns : BattleColumns
    schema : BattleSchema
        Which column of the sources plays which role.

    Raises
    ------
    BattleError
        By `write`, for a source that cannot be read or repeats an id.

    Examples
    --------
    >>> task = FeatureShards(BattleColumns(families=["newlines"]))
    >>> task.fingerprint() == FeatureShards(BattleColumns(families=["newlines"])).fingerprint()
    True
    """

    columns: BattleColumns = field(default_factory=BattleColumns)
    schema: BattleSchema = ARENA

    def fingerprint(self) -> str:
        """Of the columns' expressions, the schema and the versions in use."""
        return value_fingerprint([self.columns.fingerprint(), repr(self.schema), versions()])

    def write(self, source: Path, target: Path) -> None:
        """``id`` and the columns, one row a battle in the source's order."""
        with explained(source):
            self.columns.compute(read_battles(source, self.schema)).sink_parquet(target)
            _check_ids(pl.read_parquet(target, columns=["id"])["id"], source, self.schema)


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
    schema : BattleSchema
    spec : EncoderSpec
    mode : {"off", "auto", "require"}
        Whether vectors go through the embedding store (`featlab.vectors`).
    store : Path, optional
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    load_encoder : callable of (EncoderSpec, device), optional

    Raises
    ------
    BattleError, StoreError, WeightsError
        By `write`.

    Examples
    --------
    >>> task = EmbeddingShards([("prompt", "response_a"), ("prompt", "response_b")])
    >>> task.spec == MINILM
    True
    """

    read: tuple[Read, ...] = ("response_a", "response_b")
    schema: BattleSchema = ARENA
    spec: EncoderSpec = MINILM
    mode: Mode = "off"
    store: Path | None = None
    device: str = "auto"
    load_encoder: LoadEncoder | None = None
    _embedder: TextEmbedder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        embedder = TextEmbedder(
            list(self.read),
            spec=self.spec,
            store=self.store,
            mode=self.mode,
            layout="array",
            device=self.device,
            load_encoder=self.load_encoder,
        )
        object.__setattr__(self, "_embedder", embedder.set_output(transform="polars"))

    def fingerprint(self) -> str:
        """Of what is read, the encoder, the schema and the versions in use."""
        return value_fingerprint(
            [list(self.read), repr(self.spec), repr(self.schema), self.device, versions()]
        )

    def write(self, source: Path, target: Path) -> None:
        """``id`` and the vectors, one row a battle in the source's order."""
        needed = dict.fromkeys(
            name for read in self.read for name in ([read] if isinstance(read, str) else read)
        )
        with explained(source):
            battles = read_battles(source, self.schema).select("id", *needed).collect()
        _check_ids(battles["id"], source, self.schema)
        if not hasattr(self._embedder, "columns_"):
            self._embedder.fit(battles)
        vectors = self._embedder.transform(battles)
        assert isinstance(vectors, pl.DataFrame)
        pl.concat([battles.select("id"), vectors], how="horizontal").write_parquet(target)


def _check_ids(ids: pl.Series, source: Path, schema: BattleSchema) -> None:
    if ids.is_duplicated().any():
        repeated = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
        raise BattleError(
            "holds duplicates",
            source=str(source),
            column=schema.id,
            rows=repeated.head(5).to_list(),
        )
