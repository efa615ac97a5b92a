"""A source of random choices that is cheap enough to ask for every word.

One call on a numpy generator costs microseconds, and a battle takes hundreds
of choices; so uniform numbers are drawn in blocks and handed out one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

_BLOCK = 128
_NORMAL = NormalDist()


class Draws:
    """Random choices from one seed, the same in every process.

    Parameters
    ----------
    seed : int
        Seed of the `numpy.random.Generator` behind it.

    Examples
    --------
    >>> first, second = Draws(7), Draws(7)
    >>> [first.pick("abc") for _ in range(4)] == [second.pick("abc") for _ in range(4)]
    True
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._block: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def chance(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return self.uniform() < probability

    def below(self, bound: int) -> int:
        """A whole number in [0, bound)."""
        return int(self.uniform() * bound)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, each as likely as the others."""
        return items[int(self.uniform() * len(items))]

    def pick_two(self, items: Sequence[Item]) -> tuple[Item, Item]:
        """Two items at different positions, in random order."""
        first = self.below(len(items))
        second = (first + 1 + self.below(len(items) - 1)) % len(items)
        return items[first], items[second]

    def pick_weighted(self, cumulative: Sequence[float]) -> int:
        """A position, where `cumulative` holds the running sums of the weights."""
        goal = self.uniform() * cumulative[-1]
        low, high = 0, len(cumulative) - 1
        while low < high:
            middle = (low + high) // 2
            if cumulative[middle] > goal:
                high = middle
            else:
                low = middle + 1
        return low

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """A number from the normal distribution."""
        return mean + deviation * _NORMAL.inv_cdf(max(self.uniform(), 1e-12))

    def geometric(self, stop: float) -> int:
        """How many trials until one of probability `stop` succeeds: at least 1."""
        return 1 + int(math.log(1.0 - self.uniform()) / math.log(1.0 - stop))
