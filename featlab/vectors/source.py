"""Vectors of passages: out of the store where they are, from the encoder where they are not.

The encoder is loaded only when something must be encoded. What is missing is
encoded once however often it occurs, longest first, and stored batch by batch;
a vector is always read back from the store, so a first run and a later one see
the same numbers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec
from featlab.errors import ConfigError, StoreError
from featlab.progress import LoggedProgress, Progress, ProgressCallback
from featlab.vectors import EmbeddingStore, Keys, Mode, open_store
from featlab.vectors.passages import Passages, TextEncoder

logger = logging.getLogger(__name__)

VARIABLE = "FEATLAB_STORE"
BATCH_SIZE = 1024
ROWS_AT_ONCE = 4096
BYTES_PER_TOKEN = 4

LoadEncoder: TypeAlias = Callable[[EncoderSpec, str], TextEncoder]
Vectors: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class VectorColumn:
    """The vectors of one column of passages, read when asked for.

    Parameters
    ----------
    store : EmbeddingStore
    keys : array of dtype S16, shape (n,)
    dimension : int
    """

    store: EmbeddingStore
    keys: Keys
    dimension: int

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, first: int = 0, last: int | None = None) -> Vectors:
        """The vectors of rows `first` up to `last`, float32 of shape (rows, dimension)."""
        keys = self.keys[first:last]
        return self.store.read(keys, np.empty((len(keys), self.dimension), np.float32))


class VectorSource:
    """Turns passages into vectors by one encoder, through its store.

    Parameters
    ----------
    spec : EncoderSpec
        Which encoder, and how it reads.
    store : Path or str, optional
        Root of the embedding store (`featlab.vectors`); by default
        `default_store`.
    mode : {"auto", "require", "off"}
        ``"auto"`` encodes and stores what is missing, ``"require"`` fails if
        anything is, ``"off"`` stores nothing and keeps, in memory, only the
        vectors of the last call.
    device : str
        Where to encode: ``"auto"``, ``"cpu"``, ``"cuda"``.
    batch_size : int
        Passages encoded between two writes to the store: what a kill costs.
    load_encoder : callable of (EncoderSpec, device), optional
        Loads the encoder; by default `featlab.encoder.load_encoder`.
    on_progress : callable of Progress, optional
        Called after every batch; by default a line is logged now and then.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        store: Path | str | None = None,
        mode: Mode = "auto",
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        load_encoder: LoadEncoder | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"embedding: batch_size is {batch_size}, but must be at least 1")
        self.spec = spec
        self.root = default_store() if store is None else Path(store)
        self.mode = mode
        self.device = device
        self.batch_size = batch_size
        self.load_encoder = load_encoder or _load_encoder
        self.on_progress = on_progress
        self._store: EmbeddingStore | None = None

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder, loaded on first use."""
        return self.load_encoder(self.spec, self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: as stored, or else as the encoder says.

        Raises
        ------
        StoreError
            When vectors are required and there is no store.
        """
        return self._dimension(self._open([]))

    def embed(self, *columns: Passages) -> list[VectorColumn]:
        """Make sure that every passage has a vector.

        Parameters
        ----------
        columns : Texts or Conversations
            Given together, they are encoded together: what stands in several
            of them is encoded once, and, whatever the mode, in an order that
            depends on the passages alone and not on the column they are in.

        Returns
        -------
        One `VectorColumn` for each, in order.

        Raises
        ------
        StoreError
            When vectors are required and some are absent, or the store is
            damaged.
        WeightsError
            When the encoder must be loaded and its weights cannot be.
        """
        keys = [column.keys() for column in columns]
        store = self._open(keys)
        if self.mode == "require":
            for found in keys:
                store.require(found)
        else:
            self._encode_missing(store, columns, keys)
        dimension = self._dimension(store)
        return [VectorColumn(store, found, dimension) for found in keys]

    def count_missing(self, *columns: Passages) -> int:
        """How many different passages `embed` would have to encode; encodes and writes nothing."""
        if self.mode == "off":
            return len(_distinct(list(columns), [column.keys() for column in columns]).keys)
        folder = self.root / self.spec.id
        store = EmbeddingStore(folder if folder.is_dir() else None, read_only=True)
        keys = [column.keys() for column in columns]
        return int(store.missing(np.unique(np.concatenate(keys))).sum()) if keys else 0

    def _open(self, keys: Sequence[Keys]) -> EmbeddingStore:
        kept = self._store
        if self.mode == "off":
            # Kept, because several fold models ask for the same battles one after another.
            if kept is None or any(kept.missing(found).any() for found in keys):
                kept = open_store(None, self.spec, "off")
        elif kept is None or not kept.is_there():
            kept = open_store(self.root, self.spec, self.mode)
        else:
            kept.refresh()
        self._store = kept
        return kept

    def _dimension(self, store: EmbeddingStore) -> int:
        if store.dimension is not None:
            return store.dimension
        if self.mode == "require":
            raise StoreError(
                f"{store.folder}: holds no vector, and vectors are required; "
                "encode with mode 'auto' first"
            )
        return self.encoder.dimension

    def _encode_missing(
        self, store: EmbeddingStore, columns: Sequence[Passages], keys: Sequence[Keys]
    ) -> None:
        pending = _distinct(columns, keys)
        pending = pending.only(store.missing(pending.keys))
        if not len(pending.keys):
            return
        pending = pending.in_order(BYTES_PER_TOKEN * self.spec.max_tokens)
        encoder = self.encoder
        report = self.on_progress or LoggedProgress()
        total, work = len(pending.keys), pending.sizes.sum()
        logger.info("encoding %s passages that are not in the store", f"{total:,}")
        started = time.monotonic()
        for first in range(0, total, self.batch_size):
            last = min(first + self.batch_size, total)
            batch = pending.only(slice(first, last))
            # Another process may be at the same texts.
            store.refresh()
            batch = batch.only(store.missing(batch.keys))
            if len(batch.keys):
                store.append(batch.keys, batch.encode(encoder))
            report(
                Progress(
                    "encoding",
                    done=last,
                    total=total,
                    share=float(pending.sizes[:last].sum() / work) if work else last / total,
                    seconds=time.monotonic() - started,
                )
            )


@dataclass(frozen=True)
class _Pending:
    """Passages to encode: each one's key, and where its content is."""

    columns: Sequence[Passages]
    keys: Keys
    owners: Rows
    rows: Rows
    sizes: Rows

    def only(self, chosen: Any) -> _Pending:
        return _Pending(
            self.columns,
            self.keys[chosen],
            self.owners[chosen],
            self.rows[chosen],
            self.sizes[chosen],
        )

    def in_order(self, longest: int) -> _Pending:
        """By kind, then longest first, then by key.

        Nothing here depends on which column or row a passage was met in, so
        exchanging two columns changes neither a batch nor a vector.
        """
        sizes = np.minimum(self.sizes, longest)
        names = np.array([column.kind for column in self.columns])
        order = np.lexsort((self.keys, -sizes, names[self.owners]))
        return _Pending(
            self.columns, self.keys[order], self.owners[order], self.rows[order], sizes[order]
        )

    def encode(self, encoder: TextEncoder) -> Vectors:
        """The vectors of all of them, float32 of shape (n, dimension)."""
        kinds = [self.columns[owner].kind for owner in self.owners.tolist()]
        parts = []
        for _, group in groupby(range(len(kinds)), key=kinds.__getitem__):
            parts.append(self.only(list(group))._encode_one_kind(encoder))
        return np.concatenate(parts)

    def _encode_one_kind(self, encoder: TextEncoder) -> Vectors:
        items: list[Any] = [None] * len(self.keys)
        for owner in np.unique(self.owners).tolist():
            places = np.flatnonzero(self.owners == owner)
            found = self.columns[owner].items(self.rows[places])
            for place, item in zip(places.tolist(), found, strict=True):
                items[place] = item
        return self.columns[int(self.owners[0])].encode(encoder, items)


@lru_cache(maxsize=4)
def shared_source(spec: EncoderSpec) -> VectorSource:
    """The one source of a spec's vectors with the default store, so one encoder is loaded once."""
    return VectorSource(spec)


def default_store() -> Path:
    """Where vectors are kept when no store is given.

    The folder that the environment variable ``FEATLAB_STORE`` names, else
    ``featlab/embeddings`` in the user's cache folder.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "featlab" / "embeddings"


def row_chunks(rows: int, at_once: int = ROWS_AT_ONCE) -> Iterator[tuple[int, int]]:
    """The bounds of chunks of rows.

    Examples
    --------
    >>> list(row_chunks(5, at_once=2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for first in range(0, rows, at_once):
        yield first, min(first + at_once, rows)


def _distinct(columns: Sequence[Passages], keys: Sequence[Keys]) -> _Pending:
    if not columns:
        raise ConfigError("embedding: no column was given")
    owners = np.repeat(np.arange(len(columns)), [len(found) for found in keys])
    rows = np.concatenate([np.arange(len(found)) for found in keys])
    sizes = np.concatenate([column.sizes() for column in columns])
    distinct, first = np.unique(np.concatenate(keys), return_index=True)
    return _Pending(columns, distinct, owners[first], rows[first], sizes[first])


def _load_encoder(spec: EncoderSpec, device: str) -> TextEncoder:
    from featlab.encoder import load_encoder

    return load_encoder(spec, device)
