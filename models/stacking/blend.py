"""The blend: the mean of its two members, the trees and the kernel.

The trees (`models.stacking.trees`) find thresholds in single columns, the kernel
(`models.stacking.kernel`) compares battles by all columns at once. Each gets half
the vote: two weights fitted on a few thousand battles gain nothing that another
folding keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import polars as pl

from models.probabilities import Probabilities, Rows, exchanged
from models.stacking.kernel import Kernel, KernelOutOfFold, fit_kernel
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters, Trees, TreesOutOfFold, fit_trees


def mean_of_members(trees: Probabilities, kernel: Probabilities) -> Probabilities:
    """Return the mean of both predictions, shape (n, 3)."""
    mean: Probabilities = (trees + kernel) / 2
    return mean


@dataclass(frozen=True)
class Blend:
    """Both members, fitted on the same battles and folds.

    Parameters
    ----------
    trees : Trees
    kernel : Kernel
    """

    trees: Trees
    kernel: Kernel

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return raw probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        return mean_of_members(self.trees.predict(frame), self.kernel.predict(frame))


@dataclass(frozen=True)
class BlendOutOfFold:
    """What the blend and its members say of battles that their models never saw.

    Parameters
    ----------
    trees : TreesOutOfFold
    kernel : float64 array of shape (n, 3)
    """

    trees: TreesOutOfFold
    kernel: Probabilities

    @property
    def probabilities(self) -> Probabilities:
        """The blend, over both orders."""
        return mean_of_members(self.trees.probabilities, self.kernel)

    @property
    def one_order(self) -> Probabilities:
        """The blend of the battles as given only: what the swap asymmetry is read from."""
        return mean_of_members(self.trees.one_order, self.kernel)

    @property
    def other_order(self) -> Probabilities:
        """The blend of the exchanged battles, in their own order of sides."""
        return mean_of_members(self.trees.other_order, exchanged(self.kernel))

    def take(self, rows: Rows) -> BlendOutOfFold:
        """Return what is said of some battles, in their order."""
        trees = self.trees
        return BlendOutOfFold(
            replace(trees, one_order=trees.one_order[rows], other_order=trees.other_order[rows]),
            self.kernel[rows],
        )

    @property
    def members(self) -> dict[str, Probabilities]:
        """The members by name, each over both orders."""
        return {"trees": self.trees.probabilities, "kernel": self.kernel}


def fit_blend(
    table: Table,
    parameters: BoostingParameters,
    seed: int,
    repeats: int = 1,
    kernel: tuple[Kernel, KernelOutOfFold] | None = None,
    held_out: Sequence[int] | None = None,
    deadline: float = inf,
) -> tuple[Blend, BlendOutOfFold]:
    """Fit both members, one model a fold (and repeat, for the trees), and predict out of fold.

    Parameters
    ----------
    table : Table
    parameters : BoostingParameters
        Of the trees.
    seed : int
        Root seed.
    repeats : int
        Seeds a fold whose trees are averaged.
    kernel : (Kernel, KernelOutOfFold), optional
        The kernel, where it is fitted already.
    held_out : sequence of int, optional
        The folds to leave out and predict, all by default; of other battles
        nothing is predicted.
    deadline : float
        As for `models.stacking.trees.fit_trees`.
    """
    fitted, near = kernel or fit_kernel(table, seed, held_out)
    trees, split = fit_trees(table, parameters, seed, repeats, near.hidden_ties, held_out, deadline)
    return Blend(trees, fitted), BlendOutOfFold(split, near.probabilities)
