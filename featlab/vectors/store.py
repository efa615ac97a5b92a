"""The store of one spec's vectors: find, read, append.

A store is a folder named by the spec's id, inside a root that many specs
share::

    root/
        3f6c0de1a9b24c77/              the id of a spec
            spec.json                  that spec, readable and checked on opening
            0b1e...c4.npy, ...         shards (`featlab.vectors.shards`)

What it promises:

- A vector is found by its content's key (`featlab.vectors.keys`), and only by
  the spec that made it: another spec has another folder.
- Nothing is ever overwritten. A process killed at any point leaves every
  batch it appended, and loses the one it had in its hands.
- A torn shard is noticed on opening, reported by a warning of this module's
  logger, and its contents count as absent.
- Any number of processes may read and append at once. Two that encode the
  same text both keep its vector; each goes on reading the one it knew first.
- Vectors are float16 on disk and float32 when read. Their payload is mapped,
  so a store larger than memory can be read; in memory are 24 bytes a vector
  to find it by.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from featlab.errors import ConfigError, StoreError
from featlab.files import read_json, value_fingerprint, write_json
from featlab.vectors.keys import KEY_DTYPE, Keys
from featlab.vectors.shards import (
    SUFFIX,
    Halves,
    TornShardError,
    mapped_records,
    read_keys,
    write_shard,
)

logger = logging.getLogger(__name__)

FORMAT = 1
SPEC_FILE = "spec.json"

Mode: TypeAlias = Literal["require", "auto", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)

Vectors: TypeAlias = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.int64]

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1
_LEFTOVER_AGE = 24 * 3600


class VectorSpec(Protocol):
    """What a store must know of a spec; `featlab.encoder.EncoderSpec` is one."""

    @property
    def id(self) -> str:
        """A short name that changes with everything that changes a vector."""

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain values, for JSON."""


def open_store(root: Path | str | None, spec: VectorSpec, mode: Mode = "auto") -> EmbeddingStore:
    """Open the vectors of one spec.

    Parameters
    ----------
    root : Path or str, optional
        The folder that holds a folder for each spec. Not needed when `mode` is
        ``"off"``.
    spec : VectorSpec
        Whose vectors.
    mode : {"auto", "require", "off"}
        ``"auto"`` reads what is there and appends what is not; ``"require"``
        only reads, and writes nothing, not even a folder; ``"off"`` touches no
        file and keeps vectors in memory, with the same rounding.

    Raises
    ------
    StoreError
        When the store is required and absent, or its ``spec.json`` is damaged
        or another spec's.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from featlab.encoder import MINILM
    >>> from featlab.vectors import content_keys
    >>> keys = content_keys("text", [b"one", b"two"])
    >>> root = mkdtemp()
    >>> open_store(root, MINILM).append(keys, np.array([[1.0, 0.5], [0.0, 2.0]]))
    >>> open_store(root, MINILM, "require").read(keys[::-1])
    array([[0. , 2. ],
           [1. , 0.5]], dtype=float32)
    """
    if mode not in MODES:
        raise ConfigError(f"store: mode is {mode!r}, but must be one of {', '.join(MODES)}")
    if mode == "off":
        return EmbeddingStore(None)
    if root is None:
        raise ConfigError(f"store: mode is {mode!r}, which needs a folder")
    folder = Path(root) / spec.id
    described = {"format": FORMAT, "id": spec.id, "spec": spec.to_dict()}
    if (folder / SPEC_FILE).is_file():
        _check_description(folder / SPEC_FILE, described)
    elif mode == "require":
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
        try:
            write_json(
                folder / SPEC_FILE, {**described, "fingerprint": value_fingerprint(described)}
            )
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written ({error}); give another folder for the store, "
                "or choose mode 'off'"
            ) from error
    return EmbeddingStore(folder, read_only=mode == "require")


def _check_description(path: Path, expected: Mapping[str, Any]) -> None:
    try:
        recorded = read_json(path)
        fingerprint = recorded.pop("fingerprint")
        found = {name: recorded[name] for name in ("format", "id")}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StoreError(f"{path}: is damaged; remove the folder to encode again") from error
    if fingerprint != value_fingerprint(recorded):
        raise StoreError(
            f"{path}: was changed after it was written, so it no longer tells what made the "
            "vectors beside it; put it back or remove the folder"
        )
    for name, value in found.items():
        if value != expected[name]:
            raise StoreError(
                f"{path}: has {name} {value!r} where {expected[name]!r} is expected; "
                "these are another spec's vectors, give another folder"
            )


class EmbeddingStore:
    """Vectors by key. Made by `open_store`.

    Parameters
    ----------
    folder : Path, optional
        The spec's folder; ``None`` keeps everything in memory.
    read_only : bool, default False
        Refuse `append`, and leave torn shards where they are.

    Attributes
    ----------
    torn : list of Path
        Shards that were damaged when they were met.
    """

    def __init__(self, folder: Path | None, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self.torn: list[Path] = []
        self._dimension: int | None = None
        self._shards: list[Path | Halves] = []
        self._met: set[str] = set()
        self._keys: Keys = np.empty(0, KEY_DTYPE)
        self._places: Places = np.empty(0, np.int64)
        self._unmerged: list[tuple[Keys, Places]] = []
        if folder is not None and not read_only:
            _remove_leftovers(folder)
        self.refresh()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.folder or 'in memory'}: {len(self):,} vectors>"

    def __len__(self) -> int:
        """How many different contents have a vector."""
        self._merge()
        return len(self._keys)

    @property
    def dimension(self) -> int | None:
        """Numbers in a vector; ``None`` while the store is empty."""
        return self._dimension

    def is_there(self) -> bool:
        """Whether its folder still is: nobody has removed it since it was opened."""
        return self.folder is None or (self.folder / SPEC_FILE).is_file()

    def refresh(self) -> None:
        """Take in the shards that other processes have appended since."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in self._met:
                self._met.add(path.name)
                self._meet(path)

    def missing(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which keys have no vector here, shape (n,)."""
        return self._locate(keys) < 0

    def require(self, keys: Keys) -> None:
        """See that every key has a vector here.

        Raises
        ------
        StoreError
            Saying how many have none.
        """
        if absent := int(self.missing(keys).sum()):
            torn = f", {len(self.torn)} of whose shards were torn" if self.torn else ""
            raise StoreError(
                f"{absent:,} of {len(keys):,} vectors are absent from "
                f"{self.folder or 'the store'}{torn}; encode them with mode 'auto' first"
            )

    def read(self, keys: Keys, out: Vectors | None = None) -> Vectors:
        """The vectors of some keys, in their order.

        Parameters
        ----------
        keys : array of dtype S16, shape (n,)
            Any order, repetitions allowed.
        out : float32 array of shape (n, dimension), optional
            Where to put them.

        Returns
        -------
        float32 array of shape (n, dimension)

        Raises
        ------
        StoreError
            When a key has no vector here.
        """
        self.require(keys)
        places = self._locate(keys)
        if out is None:
            out = np.empty((len(keys), self._dimension or 0), np.float32)
        order = np.argsort(places, kind="stable")
        numbers, starts = np.unique(places[order] >> _ROW_BITS, return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
            out[rows] = self._vectors(number)[places[rows] & _ROW_MASK]
        return out

    def append(self, keys: Keys, vectors: npt.NDArray[np.floating[Any]]) -> None:
        """Store one batch; it is safe when this returns.

        Parameters
        ----------
        keys : array of dtype S16, shape (n,)
        vectors : float array of shape (n, dimension)
            Rounded to float16.

        Raises
        ------
        StoreError
            When the store is read-only, the shapes do not fit, or a number is
            not finite in float16.
        """
        if self.read_only:
            raise StoreError(f"{self.folder}: was opened to read only (mode 'require')")
        if len(keys) == 0:
            return
        dimension = self._dimension or vectors.shape[-1]
        if vectors.shape != (len(keys), dimension):
            raise StoreError(
                f"{self.folder or 'store'}: vectors have shape {vectors.shape} where "
                f"{(len(keys), dimension)} is expected"
            )
        with np.errstate(over="ignore"):
            halves = vectors.astype("<f2")
        if not np.isfinite(halves).all():
            raise StoreError(
                f"{self.folder or 'store'}: a vector is not finite in float16, whose largest "
                "number is 65,504; look for an encoder that overflows (float16 on a model made "
                "for bfloat16)"
            )
        if self.folder is None:
            self._add(halves, keys, dimension)
            return
        path = write_shard(self.folder, keys, halves)
        if path.name not in self._met:
            self._met.add(path.name)
            self._add(path, keys, dimension)

    def _meet(self, path: Path) -> None:
        try:
            keys, dimension = read_keys(path)
        except FileNotFoundError:
            # Another process met it torn and removed it first.
            self._met.discard(path.name)
            return
        except TornShardError as error:
            self.torn.append(path)
            logger.warning("%s; its vectors count as absent", error)
            if not self.read_only:
                path.unlink(missing_ok=True)
                self._met.discard(path.name)
            return
        if dimension != (self._dimension or dimension):
            raise StoreError(
                f"{path}: its vectors have {dimension} numbers where the others have "
                f"{self._dimension}; remove the folder to encode again"
            )
        self._add(path, keys, dimension)

    def _add(self, shard: Path | Halves, keys: Keys, dimension: int) -> None:
        first = len(self._shards) << _ROW_BITS
        self._shards.append(shard)
        self._unmerged.append((keys, np.arange(first, first + len(keys))))
        self._dimension = dimension

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

    def _vectors(self, number: int) -> Halves:
        shard = self._shards[number]
        if isinstance(shard, Path):
            halves: Halves = mapped_records(shard)["vector"]
            return halves
        return shard


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left half written; a living writer's file is minutes old."""
    if not folder.is_dir():
        return
    for path in folder.glob(f".*{SUFFIX}.*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_AGE:
                path.unlink()
