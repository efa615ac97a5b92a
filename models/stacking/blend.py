"""The blend: what the trees and the kernel half say of a battle, averaged.

The trees (`models.stacking.trees`) find thresholds in single columns, the kernel half
(`models.stacking.kernel`) compares battles by all columns at once. Each gets
half the vote: two weights fitted on a few thousand battles gain nothing that
another folding keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from featlab.parity import Parity
from models.evaluation.metrics import Probabilities
from models.stacking.kernel import KernelOutOfFold, KernelStacker, fit_kernel_stacker
from models.stacking.table import StackingData
from models.stacking.trees import BoostingParameters, OutOfFold, Stacker, fit_stacker


def mean_of_halves(trees: Probabilities, kernel: Probabilities) -> Probabilities:
    """The mean of both predictions, shape (n, 3)."""
    mean: Probabilities = (trees + kernel) / 2
    return mean


@dataclass(frozen=True)
class Blend:
    """Both halves, fitted on the same battles and folds.

    Parameters
    ----------
    trees : Stacker
    kernel : KernelStacker
    columns : tuple of str
        Those that the halves read: the trees none that are coordinates of vectors.
    parity : mapping of str to Parity
        The parity of every column.
    """

    trees: Stacker
    kernel: KernelStacker
    columns: Sequence[str]
    parity: Mapping[str, Parity]

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Uncalibrated probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        return mean_of_halves(self.trees.predict(frame), self.kernel.predict(frame))


@dataclass(frozen=True)
class BlendOutOfFold:
    """Out-of-fold predictions of the blend and of each half.

    Parameters
    ----------
    blend, trees, kernel : OutOfFold
    """

    blend: OutOfFold
    trees: OutOfFold
    kernel: OutOfFold

    @property
    def parts(self) -> dict[str, OutOfFold]:
        """The halves by name."""
        return {"trees": self.trees, "kernel": self.kernel}


def fit_blend(
    data: StackingData,
    parameters: BoostingParameters,
    seed: int,
    repeats: int = 1,
    kernel: tuple[KernelStacker, KernelOutOfFold] | None = None,
) -> tuple[Blend, BlendOutOfFold]:
    """Fit both halves, one model a fold (and repeat, for the trees), and predict out of fold.

    Parameters
    ----------
    kernel : (KernelStacker, KernelOutOfFold), optional
        The kernel half, where it is fitted already.
    """
    stacker, near = kernel or fit_kernel_stacker(data, seed)
    trees, split = fit_stacker(data, parameters, seed, repeats, near.hidden_ties)
    smooth, mirrored = near.probabilities, near.probabilities[:, [1, 0, 2]]
    both = OutOfFold(
        mean_of_halves(split.probabilities, smooth),
        mean_of_halves(split.one_order, smooth),
        mean_of_halves(split.other_order, mirrored),
    )
    blend = Blend(trees, stacker, tuple(data.frame.columns), dict(data.parity))
    return blend, BlendOutOfFold(both, split, OutOfFold(smooth, smooth, mirrored))
