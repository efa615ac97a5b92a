"""The blend: the mean of its two members, the trees and the kernel.

The trees (`models.stacking.trees`) find thresholds in single columns, the kernel
(`models.stacking.kernel`) compares battles by all columns at once. Each gets half
the vote: two weights fitted on a few thousand battles gain nothing that another
folding keeps.

A battle of like sides, one that exchanging its sides does not change, is mostly
two equal responses. Symmetry leaves only the chance of a tie open, and that is
far higher than any model says that shares its leaves and its landmarks with
other battles. There are too few to learn it from columns, so the blend learns
one offset of their log odds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, logit

from featlab.battles.schema import TIE
from featlab.columns import Column
from featlab.parity import Parity
from models.probabilities import Floats, Probabilities, Rows, exchanged
from models.stacking.kernel import Kernel, KernelOutOfFold, fit_kernel
from models.stacking.scaled_columns import column_values
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters, Trees, TreesOutOfFold, fit_trees


def mean_of_members(trees: Probabilities, kernel: Probabilities) -> Probabilities:
    """Return the mean of both predictions, shape (n, 3)."""
    mean: Probabilities = (trees + kernel) / 2
    return mean


def like_sides(frame: pl.DataFrame, columns: Iterable[Column]) -> NDArray[np.bool_]:
    """Tell which battles are their own mirror image: no odd column differs from 0.

    Examples
    --------
    >>> column = Column("m", Parity.ODD, "f", "log odds")
    >>> like_sides(pl.DataFrame({"m": [0.0, 0.5, None]}), [column]).tolist()
    [True, False, True]
    """
    odd = [column.name for column in columns if column.parity is Parity.ODD]
    if not odd:
        return np.zeros(len(frame), np.bool_)
    # In NumPy, since planning a query takes longer than everything else about a single battle.
    values = np.nan_to_num(column_values(frame, odd))
    alike: NDArray[np.bool_] = (values == 0.0).all(axis=1)
    return alike


def tie_offset(chance: Floats, tied: NDArray[np.bool_]) -> float:
    """Return what to add to the log odds of a tie, 0 where there is nothing to learn from.

    The posterior mode under a standard normal prior, so a few battles move it little.

    Parameters
    ----------
    chance : float64 array of shape (n,)
        The predicted chance of a tie.
    tied : bool array of shape (n,)

    Examples
    --------
    >>> round(tie_offset(np.full(15, 0.65), np.arange(15) > 0), 2)
    1.16
    """
    # Imported where something is fitted: predictions do not wait for it.
    from scipy.optimize import brentq

    if not len(chance):
        return 0.0
    start, count = logit(chance), float(tied.sum())

    def slope(offset: float) -> float:
        return count - float(expit(start + offset).sum()) - offset

    return float(brentq(slope, -len(tied), len(tied)))


def with_tie_offset(probabilities: Probabilities, offset: Floats) -> Probabilities:
    """Return probabilities whose log odds of a tie are moved, wins in the same proportion.

    Parameters
    ----------
    probabilities : float64 array of shape (n, 3)
    offset : float64 array of shape (n,)

    Examples
    --------
    >>> with_tie_offset(np.array([[0.3, 0.2, 0.5]]), np.array([np.log(3)])).round(3).tolist()
    [[0.15, 0.1, 0.75]]
    """
    moved = probabilities.copy()
    rows = np.flatnonzero(offset)
    odds = np.exp(offset[rows])[:, None]
    tie = probabilities[rows, TIE][:, None]
    moved[rows] /= 1.0 + (odds - 1.0) * tie
    moved[rows, TIE] *= odds[:, 0]
    return moved


@dataclass(frozen=True)
class Blend:
    """Both members, fitted on the same battles and folds.

    Parameters
    ----------
    trees : Trees
    kernel : Kernel
    like_sides_offset : float
        Added to the log odds of a tie where the sides are alike.
    """

    trees: Trees
    kernel: Kernel
    like_sides_offset: float = 0.0

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return raw probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        mean = mean_of_members(self.trees.predict(frame), self.kernel.predict(frame))
        alike = like_sides(frame, self.trees.columns)
        return with_tie_offset(mean, np.where(alike, self.like_sides_offset, 0.0))


@dataclass(frozen=True)
class BlendOutOfFold:
    """What the blend and its members say of battles that their models never saw.

    Parameters
    ----------
    trees : TreesOutOfFold
    kernel : float64 array of shape (n, 3)
    offset : float64 array of shape (n,)
        Of the log odds of a tie: where the sides are alike, what the other
        folds say; 0 elsewhere.
    """

    trees: TreesOutOfFold
    kernel: Probabilities
    offset: Floats

    @property
    def probabilities(self) -> Probabilities:
        """The blend, over both orders."""
        return self._blended(self.trees.probabilities, self.kernel)

    @property
    def one_order(self) -> Probabilities:
        """The blend of the battles as given only: what the swap asymmetry is read from."""
        return self._blended(self.trees.one_order, self.kernel)

    @property
    def other_order(self) -> Probabilities:
        """The blend of the exchanged battles, in their own order of sides."""
        return self._blended(self.trees.other_order, exchanged(self.kernel))

    def take(self, rows: Rows) -> BlendOutOfFold:
        """Return what is said of some battles, in their order."""
        trees = self.trees
        return BlendOutOfFold(
            replace(trees, one_order=trees.one_order[rows], other_order=trees.other_order[rows]),
            self.kernel[rows],
            self.offset[rows],
        )

    @property
    def members(self) -> dict[str, Probabilities]:
        """The members by name, each over both orders."""
        return {"trees": self.trees.probabilities, "kernel": self.kernel}

    def _blended(self, trees: Probabilities, kernel: Probabilities) -> Probabilities:
        return with_tie_offset(mean_of_members(trees, kernel), self.offset)


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
    offset, offsets = like_sides_offsets(
        table, mean_of_members(split.probabilities, near.probabilities)
    )
    return Blend(trees, fitted, offset), BlendOutOfFold(split, near.probabilities, offsets)


def like_sides_offsets(table: Table, predicted: Probabilities) -> tuple[float, Floats]:
    """Return the offset that battles of like sides ask for, and for each that of other folds.

    Parameters
    ----------
    table : Table
    predicted : float64 array of shape (n, 3)
        Out of fold, by both members; 0 where nothing is predicted.
    """
    offsets = np.zeros(len(predicted))
    if not table.ties:
        return 0.0, offsets
    alike = like_sides(table.frame, table.scalars) & predicted.any(axis=1)
    chance, tied = predicted[:, TIE], table.labels == TIE
    for fold in table.fold_numbers:
        others = alike & (table.folds != fold)
        offsets[alike & (table.folds == fold)] = tie_offset(chance[others], tied[others])
    return tie_offset(chance[alike], tied[alike]), offsets
