"""Battles as token sequences and targets, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from featlab.encoder.backbone import Backbone
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.signals.outcomes import Floats, Outcomes, Rows
from models.preference.fine_tune_settings import Reading


@dataclass(frozen=True)
class BattleTokens:
    """Both sides of some battles as token sequences: what needs no outcome.

    Parameters
    ----------
    battle_ids : Series of String, length n
    a, b : list of int32 arrays
        The prompt with a's response, and with b's; where responses are read
        together, each with the other one after it.
    """

    battle_ids: pl.Series
    a: list[Ids]
    b: list[Ids]

    @classmethod
    def of(cls, battles: pl.LazyFrame, tokenizer: Tokenizer, reading: Reading = "alone") -> Self:
        """Tokenise canonical battles."""
        texts = battles.select(
            pl.col("id").cast(pl.String), "prompt", "response_a", "response_b"
        ).collect(engine="streaming")
        a, b = texts["response_a"].to_list(), texts["response_b"].to_list()
        responses = [a + b, b + a] if reading == "together" else [a + b]
        both = tokenizer.conversations(texts["prompt"].to_list() * 2, *responses).ids
        return cls(texts["id"], both[: len(texts)], both[len(texts) :])

    def take(self, rows: Rows) -> Self:
        """Return the tokens of some battles, in their order."""
        return type(self)(
            self.battle_ids[rows], [self.a[row] for row in rows], [self.b[row] for row in rows]
        )


@dataclass(frozen=True)
class TrainingBattles:
    """Tokens and targets of the battles that are to be learned from.

    Parameters
    ----------
    tokens : BattleTokens
    targets : dict of str to tensor
        What `models.preference.preference_network.PreferenceNetwork.forward` takes
        by these names; models are numbered in the order of their names.
    """

    tokens: BattleTokens
    targets: dict[str, torch.Tensor]

    @classmethod
    def of(
        cls, prepared: BattleTokens, outcomes: Outcomes, rows: Rows, soft: Floats | None = None
    ) -> Self:
        """Take the rows of all battles, with `soft` labels in place of their own if given."""
        known = outcomes.take(rows)
        soft = known.soft if soft is None else soft
        sides = [known.model_a.to_list(), known.model_b.to_list()]
        names = sorted({name for side in sides for name in side if name is not None})
        number = {name: position for position, name in enumerate(names)}
        models = [[number.get(name, -1) for name in side] for side in sides]
        targets = {
            "labels": torch.from_numpy(known.labels),
            "tie_known": torch.from_numpy(known.tie_known),
            "weights": torch.from_numpy(known.weight.astype(np.float32)),
            "soft_labels": torch.from_numpy(soft.astype(np.float32)),
            "models": torch.tensor(models, dtype=torch.int64).T.contiguous(),
        }
        return cls(prepared.take(rows), targets)

    def __len__(self) -> int:
        return len(self.tokens.a)

    @property
    def model_count(self) -> int:
        """How many models wrote the responses."""
        return 1 + int(self.targets["models"].max())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of both sides, shape (n, 2)."""
        return np.array([[*map(len, self.tokens.a)], [*map(len, self.tokens.b)]], np.int64).T

    def costs(self, *, packed: bool) -> npt.NDArray[np.int64]:
        """Return what each takes of a batch: its tokens; padded, two rows of its longer side."""
        lengths = self.lengths
        costs: npt.NDArray[np.int64] = lengths.sum(1) if packed else 2 * lengths.max(1)
        return costs

    def fingerprint(self) -> str:
        """Return the sha256 of every token and every target."""
        digest = hashlib.sha256(self.lengths.tobytes())
        for sequence in (*self.tokens.a, *self.tokens.b):
            digest.update(sequence.tobytes())
        for target in self.targets.values():
            digest.update(target.numpy().tobytes())
        return digest.hexdigest()


class BattleCollator:
    """From row numbers to a batch, packed or padded as the backbone wants it, with its targets."""

    def __init__(self, battles: TrainingBattles, backbone: Backbone) -> None:
        self.battles = battles
        self.backbone = backbone

    def __call__(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return what `PreferenceNetwork.forward` takes: the a sides, then the b sides."""
        tokens = self.battles.tokens
        sides = [tokens.a[row] for row in rows] + [tokens.b[row] for row in rows]
        targets = {name: values[list(rows)] for name, values in self.battles.targets.items()}
        return {"batch": self.backbone.batch(sides), **targets}
