"""Batches: sequences sorted by length, cut into batches of a token budget, and pooled again.

A `PackedBatch` is one row without padding, its sequences side by side with
their boundaries; a `PaddedBatch` is a rectangle. Both know their sequences'
lengths, and pooling goes by those: taking position 0 of a packed row, or the
mean over it, would silently mix the sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from featlab.encoder.spec import PooledBy

Indices: TypeAlias = npt.NDArray[np.int64]
TokenIds: TypeAlias = Sequence[int] | npt.NDArray[np.integer]
"""The tokens of one sequence."""


class _Movable:
    def to(self, device: torch.device) -> Self:
        """Return the same batch on another device."""
        tensors = {
            field.name: tensor.to(device, non_blocking=True)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(tensor := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **tensors)  # type: ignore[type-var]


@dataclass(frozen=True)
class PackedBatch(_Movable):
    """Sequences laid end to end.

    Parameters
    ----------
    input_ids, position_ids : int64 tensors of shape (1, tokens)
        Positions count from 0 in every sequence.
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


@dataclass(frozen=True)
class PaddedBatch(_Movable):
    """Sequences below each other, each padded at its end to the longest one.

    Parameters
    ----------
    input_ids : int64 tensor of shape (n, longest)
    lengths : int64 tensor of shape (n,)
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


Batch: TypeAlias = PackedBatch | PaddedBatch


def pack(sequences: Sequence[TokenIds]) -> PackedBatch:
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


def pad(sequences: Sequence[TokenIds], padding: int = 0) -> PaddedBatch:
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


def plan_batches(lengths: npt.NDArray[np.integer], budget: int, *, padded: bool) -> list[Indices]:
    """Decide which sequences share a batch: longest first, at most `budget` tokens together.

    Padding counts as tokens. A sequence longer than the budget is a batch by
    itself.

    Examples
    --------
    >>> lengths = np.array([3, 9, 4, 2])
    >>> [batch.tolist() for batch in plan_batches(lengths, budget=9, padded=False)]
    [[1], [2, 0, 3]]
    >>> [batch.tolist() for batch in plan_batches(lengths, budget=9, padded=True)]
    [[1], [2, 0], [3]]
    """
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


def pool(hidden: torch.Tensor, batch: Batch, pooling: PooledBy) -> torch.Tensor:
    """Pool the hidden states of a batch.

    Parameters
    ----------
    hidden : tensor of shape (rows, columns, dimension)
    batch : PackedBatch or PaddedBatch
        What they belong to, of as many rows and columns.
    pooling : {"mean", "cls", "last"}
        The mean over a sequence's tokens, its first token, or its last one.

    Returns
    -------
    float32 tensor of shape (n, dimension)
        Summed in float32 whatever the format of `hidden`. A sequence without
        tokens has the vector 0.

    Examples
    --------
    >>> hidden = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> pool(hidden, pack([[5, 6], [7]]), "mean").tolist()
    [[2.0], [8.0]]
    >>> pool(hidden, pack([[5, 6], [7]]), "cls").tolist()
    [[1.0], [8.0]]
    >>> pool(hidden, pack([[5, 6], [7]]), "last").tolist()
    [[3.0], [8.0]]
    """
    if isinstance(batch, PackedBatch):
        if pooling != "mean":
            places = batch.boundaries[:-1] if pooling == "cls" else batch.boundaries[1:] - 1
            return hidden[0, places.long()].float()
        means: torch.Tensor = torch.segment_reduce(
            hidden[0].float(), "mean", lengths=batch.lengths, axis=0, unsafe=True, initial=0
        )
        return means
    if pooling == "cls":
        return hidden[:, 0].float()
    if pooling == "last":
        rows = torch.arange(len(hidden), device=hidden.device)
        return hidden[rows, batch.lengths.clamp(min=1) - 1].float()
    weights = batch.attention_mask / batch.lengths.clamp(min=1)[:, None]
    # Autocast would round the sum to 16 bits like any matrix product.
    with torch.autocast(hidden.device.type, enabled=False):
        return torch.einsum("nld,nl->nd", hidden.float(), weights.float())
