"""The blend: what the trees and the linear half say of a battle, averaged.

The trees (`models.stacker`) find interactions and thresholds, the linear half
(`models.symmetric_logistic`) shrinks what is correlated. Each gets half the
vote: two weights fitted on a few thousand battles gain nothing that another
folding keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from featlab.parity import Parity
from models.metrics import Probabilities
from models.stacker import BoostingParameters, OutOfFold, Stacker, StackingData, fit_stacker
from models.symmetric_logistic import LinearStacker, fit_linear_stacker


def mean_of_halves(trees: Probabilities, linear: Probabilities) -> Probabilities:
    """The mean of both predictions, shape (n, 3)."""
    mean: Probabilities = (trees + linear) / 2
    return mean


@dataclass(frozen=True)
class Blend:
    """Both halves, fitted on the same columns and folds.

    Parameters
    ----------
    trees : Stacker
    linear : LinearStacker
    """

    trees: Stacker
    linear: LinearStacker

    @property
    def columns(self) -> Sequence[str]:
        """The columns that both halves read."""
        return self.trees.columns

    @property
    def parity(self) -> Mapping[str, Parity]:
        """The parity of every column."""
        return self.trees.parity

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Uncalibrated probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        return mean_of_halves(self.trees.predict(frame), self.linear.predict(frame))


@dataclass(frozen=True)
class BlendOutOfFold:
    """Out-of-fold predictions of the blend and of each half.

    Parameters
    ----------
    blend, trees, linear : OutOfFold
    """

    blend: OutOfFold
    trees: OutOfFold
    linear: OutOfFold

    @property
    def parts(self) -> dict[str, OutOfFold]:
        """The halves by name."""
        return {"trees": self.trees, "linear": self.linear}


def fit_blend(
    data: StackingData, parameters: BoostingParameters, seed: int, repeats: int = 1
) -> tuple[Blend, BlendOutOfFold]:
    """Fit both halves, one model a fold (and repeat, for the trees), and predict out of fold."""
    linear, smooth = fit_linear_stacker(data)
    trees, split = fit_stacker(data, parameters, seed, repeats)
    mirrored = smooth[:, [1, 0, 2]]
    both = OutOfFold(
        mean_of_halves(split.probabilities, smooth),
        mean_of_halves(split.one_order, smooth),
        mean_of_halves(split.other_order, mirrored),
    )
    return Blend(trees, linear), BlendOutOfFold(both, split, OutOfFold(smooth, smooth, mirrored))
