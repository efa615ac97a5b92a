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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec
from featlab.errors import ConfigError, StoreError
from featlab.progress import NotedProgress, Progress, ProgressCallback
from featlab.vectors.passages import Passages, TextEncoder
from featlab.vectors.segments import KEY_DTYPE, Halves, Keys, Vectors, rounded
from featlab.vectors.store import SPEC_FILE, EmbeddingStore, Mode, open_store

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
    """The vectors of one column of passages, looked up by their keys when asked for."""

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
    mode, device, batch_size, load_encoder, on_progress
        As `featlab.transformers.embedder.TextEmbedder` takes them.
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
        if self.load_encoder is not None:
            return self.load_encoder(self.spec, self.device)
        from featlab.encoder import load_encoder

        return load_encoder(self.spec, self.device)

    @property
    def dimension(self) -> int:
        """Numbers in a vector: as stored, or else as the encoder says."""
        if self.mode != "off":
            store = self._open()
            if store.dimension is not None:
                return store.dimension
            if self.mode == "require":
                raise StoreError(
                    f"{store.folder}: holds no vector, and vectors are required; "
                    "encode with mode 'auto' first"
                )
        return self.encoder.dimension

    def embed(self, *columns: Passages) -> list[VectorColumn]:
        """Make sure that every passage has a vector, and return the vectors of each column.

        Columns given together are encoded together: what stands in several of
        them is encoded once, and, whatever the mode, in an order that depends on
        the passages alone and not on the column they are in.

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
        pending = _pending(columns, keys, BYTES_PER_TOKEN * self.spec.max_tokens)
        if self.mode == "off":
            look_up = _in_memory(self._encoded(columns, pending))
        else:
            store = self._open()
            look_up = store.read
            if self.mode == "require":
                for found in keys:
                    store.require(found)
            pending = pending[store.missing(pending["key"])]
            for found, vectors in self._encoded(columns, pending, store):
                store.append(found, vectors)
        dimension = self.dimension
        return [VectorColumn(found, dimension, look_up) for found in keys]

    def _open(self) -> EmbeddingStore:
        # Somebody may have removed the folder since.
        if self._opened is None or not (self._opened.folder / SPEC_FILE).is_file():
            self._opened = open_store(self._root, self.spec, read_only=self.mode == "require")
        else:
            self._opened.refresh()
        return self._opened

    def _encoded(
        self, columns: Sequence[Passages], pending: Pending, store: EmbeddingStore | None = None
    ) -> Iterator[tuple[Keys, Vectors]]:
        if not len(pending):
            return
        report = self.on_progress or NotedProgress()
        total, work, started = len(pending), pending["size"].sum(), time.monotonic()
        logger.info("encoding %s passages that are not in the store", f"{total:,}")
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
    """Return the one source of a spec's vectors with the default store, and so one encoder."""
    return VectorSource(spec)


def default_store() -> Path:
    """Return the folder that ``FEATLAB_STORE`` names, else one in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "featlab" / "embeddings"


def row_chunks(rows: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of chunks of rows."""
    for first in range(0, rows, ROWS_AT_ONCE):
        yield first, min(first + ROWS_AT_ONCE, rows)


def _pending(columns: Sequence[Passages], keys: Sequence[Keys], longest: int) -> Pending:
    # Each different passage once: by kind, then longest first, then by key. No batch and no vector
    # depends on which column or row a passage was met in.
    numbers = dict.fromkeys(("column", "row", "size"), np.int64)
    counts = [len(column) for column in columns]
    found: Pending = np.empty(sum(counts), [("key", KEY_DTYPE), ("kind", "U16"), *numbers.items()])
    found["key"] = np.concatenate(keys)
    found["kind"] = np.repeat([column.kind for column in columns], counts)
    found["column"] = np.repeat(np.arange(len(columns)), counts)
    found["row"] = np.concatenate([np.arange(count) for count in counts])
    found["size"] = np.concatenate([column.sizes() for column in columns]).clip(max=longest)
    found = found[np.unique(found["key"], return_index=True)[1]]
    return found[np.lexsort((found["key"], -found["size"], found["kind"]))]


def _encode(encoder: TextEncoder, columns: Sequence[Passages], batch: Pending) -> Vectors:
    parts = []
    for kind in np.unique(batch["kind"]):
        of_kind = batch[batch["kind"] == kind]
        items: list[Any] = [None] * len(of_kind)
        for number in np.unique(of_kind["column"]).tolist():
            places = np.flatnonzero(of_kind["column"] == number)
            found = columns[number].items(of_kind["row"][places])
            for place, item in zip(places.tolist(), found, strict=True):
                items[place] = item
        parts.append(columns[number].encode(encoder, items))
    return np.concatenate(parts)


def _in_memory(batches: Iterable[tuple[Keys, Vectors]]) -> Callable[[Keys], Vectors]:
    # Rounded as a store would have.
    kept = [(keys, rounded(vectors)) for keys, vectors in batches] or [_NOTHING]
    keys, halves = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    order = np.argsort(keys)

    def look_up(asked: Keys) -> Vectors:
        return halves[order[np.searchsorted(keys, asked, sorter=order)]].astype(np.float32)

    return look_up


_NOTHING: tuple[Keys, Halves] = (np.empty(0, KEY_DTYPE), np.empty((0, 0), np.float16))
