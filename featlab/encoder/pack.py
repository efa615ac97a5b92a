"""Batches: sequences sorted by length and cut into batches of a token budget.

A `PackedBatch` is one row without padding, its sequences side by side with
their boundaries; a `PaddedBatch` is a rectangle. Both know their sequences'
lengths, so pooling never has to guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PackedBatch:
    """Sequences laid end to end.

    Parameters
    ----------
    input_ids : int64 tensor of shape (1, tokens)
    position_ids : int64 tensor of shape (1, tokens)
        Counts from 0 in every sequence.
    boundaries : int32 tensor of shape (n + 1,)
        Where each sequence starts, and where the last one ends.
    longest : int
        Tokens of the longest sequence.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    boundaries: torch.Tensor
    longest: int

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each sequence, int64 of shape (n,)."""
        return self.boundaries.diff().long()

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""
        return type(self)(
            self.input_ids.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.boundaries.to(device, non_blocking=True),
            self.longest,
        )


@dataclass(frozen=True)
class PaddedBatch:
    """Sequences below each other, each padded at its end to the longest one.

    Parameters
    ----------
    input_ids : int64 tensor of shape (n, longest)
    lengths : int64 tensor of shape (n,)
        Tokens of each sequence.
    padded : bool
        Whether any sequence is shorter than the longest.
    """

    input_ids: torch.Tensor
    lengths: torch.Tensor
    padded: bool

    @property
    def attention_mask(self) -> torch.Tensor:
        """1 on tokens and 0 on padding, int64 of shape (n, longest)."""
        columns = torch.arange(self.input_ids.shape[1], device=self.input_ids.device)
        return (columns < self.lengths[:, None]).long()

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""
        return type(self)(
            self.input_ids.to(device, non_blocking=True),
            self.lengths.to(device, non_blocking=True),
            self.padded,
        )


Batch = PackedBatch | PaddedBatch


def pack(sequences: Sequence[Sequence[int] | npt.NDArray[np.integer]]) -> PackedBatch:
    """Lay sequences end to end.

    Examples
    --------
    >>> batch = pack([[5, 6, 7], [8]])
    >>> batch.position_ids.tolist(), batch.boundaries.tolist(), batch.longest
    ([[0, 1, 2, 0]], [0, 3, 4], 3)
    """
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    boundaries = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.arange(boundaries[-1]) - np.repeat(boundaries[:-1], lengths)
    tokens = np.concatenate([np.asarray(sequence, np.int64) for sequence in sequences])
    return PackedBatch(
        input_ids=torch.from_numpy(tokens)[None],
        position_ids=torch.from_numpy(positions)[None],
        boundaries=torch.from_numpy(boundaries.astype(np.int32)),
        longest=int(lengths.max()),
    )


def pad(
    sequences: Sequence[Sequence[int] | npt.NDArray[np.integer]], padding: int = 0
) -> PaddedBatch:
    """Lay sequences below each other, filled up at the end with the token `padding`.

    Examples
    --------
    >>> pad([[5, 6, 7], [8]]).attention_mask.tolist()
    [[1, 1, 1], [1, 0, 0]]
    """
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    tokens = np.full((len(sequences), int(lengths.max())), padding, np.int64)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[: len(sequence)] = sequence
    return PaddedBatch(
        input_ids=torch.from_numpy(tokens),
        lengths=torch.from_numpy(lengths),
        padded=bool((lengths != lengths.max()).any()),
    )


def plan_packs(lengths: npt.NDArray[np.integer], budget: int) -> list[Indices]:
    """Which sequences share a pack: longest first, at most `budget` tokens together.

    A sequence longer than the budget is a pack by itself.

    Examples
    --------
    >>> [pack.tolist() for pack in plan_packs(np.array([3, 9, 4, 2]), budget=9)]
    [[1], [2, 0, 3]]
    """
    return _plan(lengths, budget, padded=False)


def plan_padded(lengths: npt.NDArray[np.integer], budget: int) -> list[Indices]:
    """Which sequences share a padded batch: longest first, at most `budget` cells together.

    Examples
    --------
    >>> [rows.tolist() for rows in plan_padded(np.array([3, 9, 4, 2]), budget=9)]
    [[1], [2, 0], [3]]
    """
    return _plan(lengths, budget, padded=True)


def _plan(lengths: npt.NDArray[np.integer], budget: int, *, padded: bool) -> list[Indices]:
    # Longest first: what does not fit into memory fails at once, and not after an hour.
    order = np.argsort(-lengths, kind="stable")
    batches: list[list[int]] = []
    cost = budget + 1
    for index in order.tolist():
        length = int(lengths[index])
        added = int(lengths[batches[-1][0]]) if padded and batches else length
        if cost + added > budget:
            batches.append([])
            cost, added = 0, length
        batches[-1].append(index)
        cost += added
    return [np.asarray(batch, np.int64) for batch in batches]
