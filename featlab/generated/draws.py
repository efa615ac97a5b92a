"""A source of random choices that is cheap enough to ask for every word.

One call on a numpy generator costs microseconds, and a battle takes hundreds
of choices; so uniform numbers are drawn in blocks and handed out one by one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

_BLOCK = 128
_NORMAL = NormalDist()


class Draws:
    """Random choices from one seed, the same in every process."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._block: list[float] = []

    def uniform(self) -> float:
        """Draw a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def chance(self, probability: float) -> bool:
        """Tell whether an event of this probability happens."""
        return self.uniform() < probability

    def below(self, bound: int) -> int:
        """Draw a whole number in [0, bound)."""
        return int(self.uniform() * bound)

    def pick(self, items: Sequence[Item]) -> Item:
        """Pick one of the items, each as likely as the others."""
        return items[self.below(len(items))]

    def pick_two(self, items: Sequence[Item]) -> tuple[Item, Item]:
        """Pick two items at different positions, in random order."""
        first = self.below(len(items))
        second = (first + 1 + self.below(len(items) - 1)) % len(items)
        return items[first], items[second]

    def pick_weighted(self, cumulative: Sequence[float]) -> int:
        """Pick a position, where `cumulative` holds the running sums of the weights."""
        return bisect_right(cumulative, self.uniform() * cumulative[-1], hi=len(cumulative) - 1)

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """Draw from the normal distribution."""
        return mean + deviation * _NORMAL.inv_cdf(max(self.uniform(), 1e-12))

    def geometric(self, stop: float) -> int:
        """Count trials until one of probability `stop` succeeds: at least 1."""
        return 1 + int(math.log(1.0 - self.uniform()) / math.log(1.0 - stop))
