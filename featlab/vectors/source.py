"""Vectors of passages: out of the store where they are, from the encoder where they are not.

The encoder is loaded only when something must be encoded. What is missing is
encoded once however often it occurs, longest first, and stored batch by batch;
a vector is always read back as it was stored, so a first run and a later one
see the same numbers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec
from featlab.errors import ConfigError, StoreError
from featlab.progress import LoggedProgress, Progress, ProgressCallback
from featlab.vectors.passages import Passages, TextEncoder, Vectors
from featlab.vectors.segments import KEY_DTYPE, Halves, Keys, rounded
from featlab.vectors.store import EmbeddingStore, Mode, open_store

logger = logging.getLogger(__name__)

VARIABLE = "FEATLAB_STORE"
BATCH_SIZE = 1024
ROWS_AT_ONCE = 4096
BYTES_PER_TOKEN = 4

LoadEncoder: TypeAlias = Callable[[EncoderSpec, str], TextEncoder]
Pending: TypeAlias = npt.NDArray[Any]
"""Passages to encode: the key of each, the column and row where it stands, and its size."""


@dataclass(frozen=True)
class VectorColumn:
    """The vectors of one column of passages, read when asked for.

    Parameters
    ----------
    keys : array of dtype S16, shape (n,)
    dimension : int
    look_up : callable of keys
        Gives float32 vectors of shape (n, dimension).
    """

    keys: Keys
    dimension: int
    look_up: Callable[[Keys], Vectors]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, first: int = 0, last: int | None = None) -> Vectors:
        """Return the vectors of rows `first` up to `last`, shape (rows, dimension)."""
        keys = self.keys[first:last]
        return self.look_up(keys) if len(keys) else np.empty((0, self.dimension), np.float32)


@dataclass(eq=False)
class VectorSource:
    """Turns passages into vectors by one encoder, through its store.

    Parameters
    ----------
    spec : EncoderSpec
        Which encoder, and how it reads.
    store : Path or str, optional
        Root of the embedding store (`featlab.vectors.store`); by default
        `default_store`.
    mode : {"auto", "require", "off"}
        ``"auto"`` encodes and stores what is missing, ``"require"`` fails if
        anything is, ``"off"`` encodes everything every time and touches no
        file.
    device : str
        Where to encode: ``"auto"``, ``"cpu"``, ``"cuda"``.
    batch_size : int
        Passages encoded between two writes to the store: what a kill costs.
    load_encoder : callable of (EncoderSpec, device), optional
        Loads the encoder; by default `featlab.encoder.load_encoder`.
    on_progress : callable of Progress, optional
        Called after every batch; by default a line is logged now and then.
    """

    spec: EncoderSpec
    store: Path | str | None = None
    mode: Mode = "auto"
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    load_encoder: LoadEncoder | None = None
    on_progress: ProgressCallback | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"embedding: batch_size is {self.batch_size}, but must be at least 1")
        if self.mode not in get_args(Mode):
            raise ConfigError(
                f"embedding: mode is {self.mode!r}, but must be one of {', '.join(get_args(Mode))}"
            )
        self._root = default_store() if self.store is None else Path(self.store)
        self._opened: EmbeddingStore | None = None

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder, loaded on first use."""
        return (self.load_encoder or _load_encoder)(self.spec, self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: as stored, or else as the encoder says.

        Raises
        ------
        StoreError
            When vectors are required and there is no store.
        """
        return self._dimension(None if self.mode == "off" else self._open())

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
        if not columns:
            raise ConfigError("embedding: no column was given")
        keys = [column.keys() for column in columns]
        if self.mode == "off":
            kept: list[tuple[Keys, Halves]] = []
            for found, vectors in self._encoded(columns, _distinct(columns, keys)):
                kept.append((found, rounded(vectors)))
            dimension, look_up = self.dimension, _in_memory(kept)
            return [VectorColumn(found, dimension, look_up) for found in keys]
        store = self._open()
        if self.mode == "require":
            for found in keys:
                store.require(found)
        else:
            pending = _distinct(columns, keys)
            pending = pending[store.missing(pending["key"])]
            for found, vectors in self._encoded(columns, pending, store):
                store.append(found, vectors)
        dimension = self._dimension(store)
        return [VectorColumn(found, dimension, store.read) for found in keys]

    def _open(self) -> EmbeddingStore:
        if self._opened is None or not self._opened.is_there():
            self._opened = open_store(self._root, self.spec, read_only=self.mode == "require")
        else:
            self._opened.refresh()
        return self._opened

    def _dimension(self, store: EmbeddingStore | None) -> int:
        if store is None or (store.dimension is None and self.mode == "auto"):
            return self.encoder.dimension
        if store.dimension is None:
            raise StoreError(
                f"{store.folder}: holds no vector, and vectors are required; "
                "encode with mode 'auto' first"
            )
        return store.dimension

    def _encoded(
        self, columns: Sequence[Passages], pending: Pending, store: EmbeddingStore | None = None
    ) -> Iterator[tuple[Keys, Vectors]]:
        if not len(pending):
            return
        pending = _in_order(columns, pending, BYTES_PER_TOKEN * self.spec.max_tokens)
        report = self.on_progress or LoggedProgress()
        total, work = len(pending), pending["size"].sum()
        logger.info("encoding %s passages that are not in the store", f"{total:,}")
        started = time.monotonic()
        for first in range(0, total, self.batch_size):
            last = min(first + self.batch_size, total)
            batch = pending[first:last]
            if store is not None:
                # Another process may be at the same texts.
                store.refresh()
                batch = batch[store.missing(batch["key"])]
            if len(batch):
                yield batch["key"], _encode(self.encoder, columns, batch)
            share = float(pending["size"][:last].sum() / work) if work else last / total
            report(Progress("encoding", last, total, share, time.monotonic() - started))


@lru_cache(maxsize=4)
def shared_source(spec: EncoderSpec) -> VectorSource:
    """Return the one source of a spec's vectors with the default store: one encoder, loaded once."""
    return VectorSource(spec)


def default_store() -> Path:
    """Return where vectors are kept when no store is given.

    The folder that the environment variable ``FEATLAB_STORE`` names, else
    ``featlab/embeddings`` in the user's cache folder.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "featlab" / "embeddings"


def row_chunks(rows: int, at_once: int = ROWS_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Yield the bounds of chunks of rows.

    Examples
    --------
    >>> list(row_chunks(5, at_once=2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for first in range(0, rows, at_once):
        yield first, min(first + at_once, rows)


def _distinct(columns: Sequence[Passages], keys: Sequence[Keys]) -> Pending:
    everything: Pending = np.empty(
        sum(map(len, keys)),
        [("key", KEY_DTYPE), ("column", np.int64), ("row", np.int64), ("size", np.int64)],
    )
    everything["key"] = np.concatenate(keys)
    everything["column"] = np.repeat(np.arange(len(columns)), [len(found) for found in keys])
    everything["row"] = np.concatenate([np.arange(len(found)) for found in keys])
    everything["size"] = np.concatenate([column.sizes() for column in columns])
    return everything[np.unique(everything["key"], return_index=True)[1]]


def _in_order(columns: Sequence[Passages], pending: Pending, longest: int) -> Pending:
    # By kind, then longest first, then by key: nothing here depends on which column or row a
    # passage was met in, so exchanging two columns changes neither a batch nor a vector.
    kinds = np.array([column.kind for column in columns])[pending["column"]]
    sizes = np.minimum(pending["size"], longest)
    order = np.lexsort((pending["key"], -sizes, kinds))
    ordered = pending[order]
    ordered["size"] = sizes[order]
    return ordered


def _encode(encoder: TextEncoder, columns: Sequence[Passages], batch: Pending) -> Vectors:
    parts = []
    kinds = np.array([column.kind for column in columns])[batch["column"]]
    for kind in np.unique(kinds):
        of_kind = batch[kinds == kind]
        items: list[Any] = [None] * len(of_kind)
        for number in np.unique(of_kind["column"]).tolist():
            places = np.flatnonzero(of_kind["column"] == number)
            found = columns[number].items(of_kind["row"][places])
            for place, item in zip(places.tolist(), found, strict=True):
                items[place] = item
        parts.append(columns[number].encode(encoder, items))
    return np.concatenate(parts)


def _in_memory(batches: Sequence[tuple[Keys, Halves]]) -> Callable[[Keys], Vectors]:
    if not batches:
        return lambda asked: np.empty((len(asked), 0), np.float32)
    keys, halves = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    order = np.argsort(keys)
    return lambda asked: halves[order[np.searchsorted(keys, asked, sorter=order)]].astype(
        np.float32
    )


def _load_encoder(spec: EncoderSpec, device: str) -> TextEncoder:
    from featlab.encoder import load_encoder

    return load_encoder(spec, device)
