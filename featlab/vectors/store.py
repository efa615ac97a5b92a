"""The store of one spec's vectors: find, read, append.

A store is a folder named by the spec's id, inside a root that many specs
share::

    root/
        3f6c0de1a9b24c77/              the id of a spec
            spec.json                  that spec, readable and checked on opening
            0b1e...c4.npy, ...         segments (`featlab.vectors.segments`)

What it promises:

- A vector is found by its content's key, and only by the spec that made it:
  another spec has another folder.
- Nothing is ever overwritten. A process killed at any point leaves every
  batch it appended, and loses the one it had in its hands.
- A torn segment is noticed on opening, reported by a warning of this module's
  logger, and its contents count as absent.
- Any number of processes may read and append at once. Two that encode the
  same text both keep its vector; each goes on reading the one it knew first.
- Vectors are float16 on disk and float32 when read. Their payload is mapped,
  so a store larger than memory can be read; in memory are 24 bytes a vector
  to find it by.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec
from featlab.errors import StoreError
from featlab.files import read_json, sweep, value_fingerprint, write_json
from featlab.vectors.segments import (
    KEY_DTYPE,
    SUFFIX,
    Keys,
    TornSegmentError,
    Vectors,
    mapped_records,
    read_keys,
    rounded,
    write_segment,
)

logger = logging.getLogger(__name__)

FORMAT = 1
SPEC_FILE = "spec.json"

Mode: TypeAlias = Literal["auto", "require", "off"]
"""Encode and store what is missing, fail where anything is, or store nothing."""

Places: TypeAlias = npt.NDArray[np.int64]

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1


def open_store(root: Path | str, spec: EncoderSpec, *, read_only: bool = False) -> EmbeddingStore:
    """Open the vectors of one spec; read-only, nothing is written, not even a folder.

    Raises
    ------
    StoreError
        When the store is to be read and absent, or its ``spec.json`` is damaged
        or another spec's.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from featlab.encoder import MINILM
    >>> from featlab.vectors import content_keys
    >>> root, keys = mkdtemp(), content_keys("text", [b"one", b"two"])
    >>> open_store(root, MINILM).append(keys, np.array([[1.0, 0.5], [0.0, 2.0]]))
    >>> open_store(root, MINILM, read_only=True).read(keys[::-1])
    array([[0. , 2. ],
           [1. , 0.5]], dtype=float32)
    """
    folder = Path(root) / spec.id
    if (folder / SPEC_FILE).is_file():
        _check_description(folder / SPEC_FILE, spec)
    elif read_only:
        raise StoreError(
            f"{folder}: no vectors of this spec are stored here, and they are required; "
            "encode with mode 'auto' first, or give the folder they are in"
        )
    elif any(folder.glob(f"*{SUFFIX}")):
        raise StoreError(
            f"{folder}: holds vectors but no {SPEC_FILE}, so what made them is unknown; "
            "put it back or remove the folder"
        )
    else:
        described = {"format": FORMAT, "id": spec.id, "spec": spec.to_dict()}
        described["fingerprint"] = value_fingerprint(described)
        try:
            write_json(folder / SPEC_FILE, described)
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written ({error}); give another folder for the store, "
                "or choose mode 'off'"
            ) from error
    return EmbeddingStore(folder, read_only=read_only)


class EmbeddingStore:
    """Vectors by key. Made by `open_store`; read-only, it leaves torn segments where they are.

    Attributes
    ----------
    dimension : int or None
        Numbers in a vector; ``None`` while the store is empty.
    torn : list of Path
        Segments that were damaged when they were met.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self.dimension: int | None = None
        self.torn: list[Path] = []
        self._segments: list[Path] = []
        self._met: set[str] = set()
        self._keys: Keys = np.empty(0, KEY_DTYPE)
        self._places: Places = np.empty(0, np.int64)
        self._unmerged: list[tuple[Keys, Places]] = []
        if not read_only:
            sweep(folder)
        self.refresh()

    def refresh(self) -> None:
        """Take in the segments that other processes have appended since."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in self._met:
                self._meet(path)

    def missing(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return which keys have no vector here, shape (n,)."""
        return self._locate(keys) < 0

    def require(self, keys: Keys) -> None:
        """Raise a StoreError that says how many keys have no vector here, if any."""
        if absent := int(self.missing(keys).sum()):
            torn = f", {len(self.torn)} of whose segments were torn" if self.torn else ""
            raise StoreError(
                f"{absent:,} of {len(keys):,} vectors are absent from {self.folder}{torn}; "
                "encode them with mode 'auto' first"
            )

    def read(self, keys: Keys) -> Vectors:
        """Return the vectors of some keys, shape (n, dimension); each must have one.

        The keys may come in any order and more than once.
        """
        self.require(keys)
        places = self._locate(keys)
        vectors = np.empty((len(keys), self.dimension or 0), np.float32)
        order = np.argsort(places, kind="stable")
        numbers, starts = np.unique(places[order] >> _ROW_BITS, return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
            halves = mapped_records(self._segments[number])["vector"]
            vectors[rows] = halves[places[rows] & _ROW_MASK]
        return vectors

    def append(self, keys: Keys, vectors: npt.NDArray[np.floating[Any]]) -> None:
        """Store one batch, rounded to float16; it is safe when this returns."""
        if self.read_only:
            raise StoreError(f"{self.folder}: was opened to read only (mode 'require')")
        if len(keys) == 0:
            return
        expected = (len(keys), self.dimension or vectors.shape[-1])
        if vectors.shape != expected:
            raise StoreError(
                f"{self.folder}: vectors have shape {vectors.shape} where {expected} is expected"
            )
        path = write_segment(self.folder, keys, rounded(vectors))
        if path.name not in self._met:
            self._add(path, keys, expected[1])

    def _meet(self, path: Path) -> None:
        try:
            keys, dimension = read_keys(path)
        except FileNotFoundError:
            # Another process met it torn and removed it first.
            return
        except TornSegmentError as error:
            self.torn.append(path)
            logger.warning("%s; its vectors count as absent", error)
            if self.read_only:
                self._met.add(path.name)
            else:
                path.unlink(missing_ok=True)
            return
        if dimension != (self.dimension or dimension):
            raise StoreError(
                f"{path}: its vectors have {dimension} numbers where the others have "
                f"{self.dimension}; remove the folder to encode again"
            )
        self._add(path, keys, dimension)

    def _add(self, segment: Path, keys: Keys, dimension: int) -> None:
        first = len(self._segments) << _ROW_BITS
        self._met.add(segment.name)
        self._segments.append(segment)
        self._unmerged.append((keys, np.arange(first, first + len(keys))))
        self.dimension = dimension

    def _merge(self) -> None:
        if self._unmerged:
            keys = np.concatenate([self._keys, *(keys for keys, _ in self._unmerged)])
            places = np.concatenate([self._places, *(places for _, places in self._unmerged)])
            # The first of equal keys is kept, so a vector once read stays the same.
            self._keys, first = np.unique(keys, return_index=True)
            self._places = places[first]
            self._unmerged.clear()

    def _locate(self, keys: Keys) -> Places:
        self._merge()
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._places[at], -1)


def _check_description(path: Path, spec: EncoderSpec) -> None:
    try:
        recorded = read_json(path)
        untouched = recorded.pop("fingerprint") == value_fingerprint(recorded)
        # Weights in another folder have the same id, so the specs themselves may differ.
        ours = (recorded["format"], recorded["id"]) == (FORMAT, spec.id)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StoreError(f"{path}: is damaged; remove the folder to encode again") from error
    if not untouched:
        raise StoreError(
            f"{path}: was changed after it was written, so it no longer tells what made the "
            "vectors beside it; put it back or remove the folder"
        )
    if not ours:
        raise StoreError(f"{path}: these are another spec's vectors; give another folder")
