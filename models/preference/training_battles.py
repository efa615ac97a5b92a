"""Battles as token sequences and targets, and batches of them by token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from featlab.battles import PROBABILITIES, TIE_KNOWN, WEIGHT
from featlab.encoder.backbone import Backbone
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.errors import BattleError
from featlab.randomness import derive_seed
from models.preference.preference_network import BattleTargets

POOL_OF_BATCHES = 16


@dataclass(frozen=True)
class TrainingBattles(torch.utils.data.Dataset[int]):
    """Battles that are ready to be trained on.

    Parameters
    ----------
    a, b : list of int32 arrays
        The token sequence of each side.
    labels : int64 array of shape (n,)
    tie_known : bool array of shape (n,)
    weights : float32 array of shape (n,)
        How many battles each counts for.
    soft_labels : float32 array of shape (n, 3)
        Rows of NaN where there are none.
    models : int64 array of shape (n, 2)
        Numbers of the models that wrote a and b, -1 where unknown.
    names : tuple of str
        The models' names by number.
    """

    a: list[Ids]
    b: list[Ids]
    labels: npt.NDArray[np.int64]
    tie_known: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float32]
    soft_labels: npt.NDArray[np.float32]
    models: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, index: int) -> int:
        # The collator gathers a batch in one go, so a row is its number.
        return index

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of both sides, shape (n, 2)."""
        return np.array(
            [(len(a), len(b)) for a, b in zip(self.a, self.b, strict=True)], np.int64
        ).reshape(-1, 2)

    def targets(self, rows: npt.NDArray[np.int64]) -> BattleTargets:
        """What is to be learned from some battles."""
        return BattleTargets(
            labels=torch.from_numpy(self.labels[rows]),
            tie_known=torch.from_numpy(self.tie_known[rows]),
            weights=torch.from_numpy(self.weights[rows]),
            soft_labels=torch.from_numpy(self.soft_labels[rows]),
            models=torch.from_numpy(self.models[rows].T.ravel().copy()),
        )


def tokenised(
    battles: pl.DataFrame, tokenizer: Tokenizer, soft_labels: pl.DataFrame | None = None
) -> TrainingBattles:
    """Battles as token sequences and targets.

    Parameters
    ----------
    battles : DataFrame
        Canonical battles with ``label``; ``model_a`` and ``model_b`` feed the
        identity loss where they are there, and the columns of
        `featlab.battles.extra` are read where they are there.
    tokenizer : Tokenizer
    soft_labels : DataFrame, optional
        ``id`` and the three probabilities, for some or all of the battles
        (`models.preference.soft_labels.read_soft_labels`).

    Raises
    ------
    BattleError
        When a battle has no label, or there are no battles.
    """
    if "label" not in battles.columns or battles["label"].null_count():
        raise BattleError(
            "is missing for some battles; only labelled battles can be learned from",
            source="training battles",
            column="label",
        )
    if battles.is_empty():
        raise BattleError("there are none to learn from", source="training battles")
    prompts = battles["prompt"].to_list()
    known = (
        battles[TIE_KNOWN].cast(pl.Boolean).fill_null(True).to_numpy()
        if TIE_KNOWN in battles.columns
        else np.ones(len(battles), np.bool_)
    )
    names = sorted(
        {
            name
            for side in ("model_a", "model_b")
            if side in battles.columns
            for name in battles[side].unique().drop_nulls()
        }
    )
    number = {name: position for position, name in enumerate(names)}
    written = [
        battles[side].replace_strict(number, default=-1, return_dtype=pl.Int64).to_numpy()
        if side in battles.columns and names
        else np.full(len(battles), -1, np.int64)
        for side in ("model_a", "model_b")
    ]
    return TrainingBattles(
        a=tokenizer.conversations(prompts, battles["response_a"].to_list()).ids,
        b=tokenizer.conversations(prompts, battles["response_b"].to_list()).ids,
        labels=battles["label"].cast(pl.Int64).to_numpy().copy(),
        tie_known=known.copy(),
        weights=(
            battles[WEIGHT].cast(pl.Float32).fill_null(1.0).to_numpy().copy()
            if WEIGHT in battles.columns
            else np.ones(len(battles), np.float32)
        ),
        soft_labels=_soft_rows(battles, soft_labels),
        models=np.stack(written, axis=1),
        names=tuple(names),
    )


def _soft_rows(battles: pl.DataFrame, soft_labels: pl.DataFrame | None) -> npt.NDArray[np.float32]:
    own = [name for name in PROBABILITIES if name in battles.columns]
    rows = battles.select(
        pl.col("id").cast(pl.String) if "id" in battles.columns else pl.lit(None).alias("id"), *own
    )
    if soft_labels is not None:
        given = soft_labels.select(
            pl.col("id").cast(pl.String), pl.col(PROBABILITIES).name.suffix("::given")
        )
        rows = rows.join(given, on="id", how="left", maintain_order="left")
    found = rows.select(
        pl.coalesce(
            *(pl.col(column) for column in (f"{name}::given", name) if column in rows.columns),
            pl.repeat(None, pl.len(), dtype=pl.Float64),
        )
        .cast(pl.Float32)
        .fill_null(float("nan"))
        .alias(name)
        for name in PROBABILITIES
    )
    return found.to_numpy()


class TokenBudgetSampler(torch.utils.data.Sampler[list[int]]):
    """Batches of about as many tokens, drawn anew in every epoch.

    Every epoch has the same number of batches and holds every row once. Rows of
    like length share a batch where batches are padded: rows are shuffled, sorted
    within a pool of several batches, and the batches are shuffled again.

    Parameters
    ----------
    costs : int array of shape (n,)
        Tokens of each row.
    budget : int
        Tokens of a batch; a batch exceeds it by less than one row.
    sort : bool
        Whether rows of like length should share a batch.
    seed : int
    rank, world : int
        Which of how many processes this is: each has every `world`-th batch,
        and all have the same number of them.

    Examples
    --------
    >>> sampler = TokenBudgetSampler(np.array([3, 4, 5, 6]), budget=9, sort=False, seed=0)
    >>> sorted(row for batch in sampler for row in batch), len(sampler)
    ([0, 1, 2, 3], 2)
    """

    def __init__(
        self,
        costs: npt.NDArray[np.integer],
        budget: int,
        *,
        sort: bool,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.costs = costs
        self.sort = sort
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0
        wanted = -(-int(costs.sum()) // budget)
        whole = -(-wanted // world) * world
        if len(costs) < world:
            raise BattleError(
                f"{len(costs)} battles cannot be shared by {world} processes",
                source="training battles",
            )
        self.count = min(whole, len(costs) // world * world)

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world

    def __iter__(self) -> Iterator[list[int]]:
        yield from self.plan()[self.rank :: self.world]

    def plan(self) -> list[list[int]]:
        """All batches of this epoch, of all processes together."""
        draw = np.random.default_rng(derive_seed(self.seed, "batches", self.epoch))
        order = draw.permutation(len(self.costs))
        if self.sort:
            size = max(1, POOL_OF_BATCHES * len(order) // self.count)
            pools = [order[start : start + size] for start in range(0, len(order), size)]
            # Up in one pool and down in the next, since a batch may reach across both.
            order = np.concatenate(
                [
                    pool[np.argsort(self.costs[pool], kind="stable")][:: 1 - 2 * (turn % 2)]
                    for turn, pool in enumerate(pools)
                ]
            )
        batches = _cut_evenly(order, self.costs[order], self.count)
        return [batches[position].tolist() for position in draw.permutation(len(batches))]


def _cut_evenly(
    order: npt.NDArray[np.int64], costs: npt.NDArray[np.integer], count: int
) -> list[npt.NDArray[np.int64]]:
    middles = np.cumsum(costs) - costs / 2
    owner = np.minimum((middles / costs.sum() * count).astype(np.int64), count - 1)
    # A row longer than a batch leaves its neighbour empty: no batch may be, so starts move apart.
    starts = np.searchsorted(owner, np.arange(count))
    starts = np.maximum.accumulate(starts - np.arange(count)) + np.arange(count)
    starts = np.minimum(starts, len(order) - count + np.arange(count))
    return np.split(order, starts[1:])


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
        """The batch of these battles, and its targets."""
        sides = [self.battles.a[row] for row in rows] + [self.battles.b[row] for row in rows]
        targets = self.battles.targets(np.asarray(rows, np.int64))
        return {
            "batch": self.backbone.batch(sides),
            "targets": targets,
            "labels": targets.labels,
        }


def batch_costs(lengths: npt.NDArray[np.int64], *, packed: bool) -> npt.NDArray[np.int64]:
    """What each battle takes of a batch's budget: its tokens, or two rows of its longer side.

    Examples
    --------
    >>> batch_costs(np.array([[10, 30]]), packed=True).tolist()
    [40]
    >>> batch_costs(np.array([[10, 30]]), packed=False).tolist()
    [60]
    """
    costs: npt.NDArray[np.int64] = lengths.sum(1) if packed else 2 * lengths.max(1)
    return costs
