"""Battles as token sequences and targets, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from featlab.encoder.backbone import Backbone
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.signals.outcomes import Floats, Outcomes, Rows


@dataclass(frozen=True)
class BattleTokens:
    """Both sides of some battles as token sequences: what needs no outcome.

    Parameters
    ----------
    battle_ids : Series of String, length n
    a, b : list of int32 arrays
        The prompt with a's response, and with b's.
    """

    battle_ids: pl.Series
    a: list[Ids]
    b: list[Ids]

    @classmethod
    def of(cls, battles: pl.LazyFrame, tokenizer: Tokenizer) -> Self:
        """Tokenise canonical battles."""
        texts = battles.select(
            pl.col("id").cast(pl.String), "prompt", "response_a", "response_b"
        ).collect(engine="streaming")
        responses = texts["response_a"].to_list() + texts["response_b"].to_list()
        both = tokenizer.conversations(texts["prompt"].to_list() * 2, responses).ids
        return cls(texts["id"], both[: len(texts)], both[len(texts) :])

    def __len__(self) -> int:
        return len(self.a)

    def take(self, rows: Rows) -> Self:
        """Return the tokens of some battles, in their order."""
        return type(self)(
            self.battle_ids[rows], [self.a[row] for row in rows], [self.b[row] for row in rows]
        )

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of both sides, shape (n, 2)."""
        return np.array([[*map(len, self.a)], [*map(len, self.b)]], np.int64).T


@dataclass(frozen=True)
class BattleTargets:
    """What is to be learned from n battles.

    Parameters
    ----------
    labels : int64 tensor of shape (n,)
        0 a, 1 b, 2 tie.
    tie_known : bool tensor of shape (n,)
        False where the battle's source holds no ties.
    weights : float32 tensor of shape (n,)
        How many battles each counts for.
    soft_labels : float32 tensor of shape (n, 3)
        A teacher's probabilities; a row of NaN where there are none.
    models : int64 tensor of shape (n, 2)
        Which model wrote a's response and which b's; -1 where it is unknown.
    """

    labels: torch.Tensor
    tie_known: torch.Tensor
    weights: torch.Tensor
    soft_labels: torch.Tensor
    models: torch.Tensor

    @classmethod
    def of(cls, outcomes: Outcomes, soft_labels: Floats) -> Self:
        """Read the outcomes of battles, with soft labels in place of their own."""
        names = sorted(
            {*outcomes.model_a.drop_nulls().unique(), *outcomes.model_b.drop_nulls().unique()}
        )
        number = {name: position for position, name in enumerate(names)}
        written = [
            [number.get(name, -1) for name in side] for side in (outcomes.model_a, outcomes.model_b)
        ]
        return cls(
            torch.from_numpy(outcomes.labels),
            torch.from_numpy(outcomes.tie_known),
            torch.from_numpy(outcomes.weight.astype(np.float32)),
            torch.from_numpy(soft_labels.astype(np.float32)),
            torch.tensor(written, dtype=torch.int64).T.contiguous(),
        )

    @property
    def model_count(self) -> int:
        """How many models wrote the responses."""
        return 1 + int(self.models.max())

    def take(self, rows: Sequence[int]) -> Self:
        """Return the targets of some battles."""
        return type(self)(*(tensor[list(rows)] for tensor in self.tensors()))

    def to(self, device: torch.device) -> Self:
        """Return the same targets on another device."""
        return type(self)(*(tensor.to(device) for tensor in self.tensors()))

    def tensors(self) -> list[torch.Tensor]:
        """Return every target in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class TrainingBattles:
    """Tokens and targets of the battles that are to be learned from."""

    tokens: BattleTokens
    targets: BattleTargets

    def __len__(self) -> int:
        return len(self.tokens)

    def fingerprint(self) -> str:
        """Return the sha256 of every token and every target."""
        digest = hashlib.sha256(self.tokens.lengths.tobytes())
        for sequence in (*self.tokens.a, *self.tokens.b):
            digest.update(sequence.tobytes())
        for tensor in self.targets.tensors():
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


class BattleCollator:
    """From row numbers to what `PreferenceNetwork.forward` takes.

    Parameters
    ----------
    battles : TrainingBattles
    backbone : Backbone
        Decides whether batches are packed or padded.
    """

    def __init__(self, battles: TrainingBattles, backbone: Backbone) -> None:
        self.battles = battles
        self.backbone = backbone

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return the batch of these battles, and its targets."""
        tokens, targets = self.battles.tokens, self.battles.targets.take(rows)
        sides = [tokens.a[row] for row in rows] + [tokens.b[row] for row in rows]
        return {
            "batch": self.backbone.batch(sides),
            "targets": targets,
            "labels": targets.labels,
        }


def batch_costs(lengths: npt.NDArray[np.int64], *, packed: bool) -> npt.NDArray[np.int64]:
    """Return what each battle takes of a batch's budget: its tokens, or twice its longer side's.

    Examples
    --------
    >>> batch_costs(np.array([[10, 30]]), packed=True).tolist()
    [40]
    >>> batch_costs(np.array([[10, 30]]), packed=False).tolist()
    [60]
    """
    costs: npt.NDArray[np.int64] = lengths.sum(1) if packed else 2 * lengths.max(1)
    return costs
