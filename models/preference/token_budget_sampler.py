"""Batches of about as many tokens each, the same for every process that shares them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from featlab.errors import BattleError
from featlab.randomness import derive_seed

POOL_OF_BATCHES = 16


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
        Tokens of a batch; one exceeds it by about a row at most.
    sort : bool
        Whether rows of like length should share a batch.
    seed : int
    rank, world : int
        Which of how many processes this is; all have the same number of batches.

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
        if len(costs) < world:
            raise BattleError(
                f"{len(costs)} battles cannot be shared by {world} processes",
                source="training battles",
            )
        whole = -(-int(costs.sum()) // (budget * world)) * world
        self.count = min(whole, len(costs) // world * world)

    def set_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.world

    def __iter__(self) -> Iterator[list[int]]:
        yield from self.plan()[self.rank :: self.world]

    def plan(self) -> list[list[int]]:
        """Return all batches of this epoch, of all processes together."""
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
