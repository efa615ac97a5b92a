"""The linear half of the ensemble: two ridge regressions that are symmetric by construction.

"A or B" is a logistic regression without intercept on the odd columns, fitted
on battles that one side won, so its margin changes sign with the sides; "tie or
not" is one on the even columns. Together they are three probabilities. On a few
thousand battles two hundred correlated columns are better shrunk than split:
this half and the trees err differently, and their mean is better than either.

Penalties are chosen for each regression by leaving out one training fold after
the other, so a prompt's battles stay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from featlab.parity import Parity
from models.metrics import Probabilities
from models.stacker import StackingData

Floats = NDArray[np.float64]

PENALTIES = (4000.0, 2000.0, 1000.0, 500.0, 250.0, 125.0, 60.0, 30.0)
"""Ridge penalties to choose from, in units of the summed log loss, strongest first."""

LARGEST = 4.0
"""Scaled columns are clipped here: one battle of huge length must not move every other."""

TIE = 2


@dataclass(frozen=True)
class ScaledColumns:
    """Columns brought to one scale: symmetric logarithm, centre, spread, clipped.

    Odd columns have centre 0, so that scaling keeps them odd. What is missing
    is taken to lie at the centre.

    Parameters
    ----------
    names : tuple of str
    centre, spread : float64 arrays of shape (columns,)

    Examples
    --------
    >>> frame = pl.DataFrame({"x__difference": [3.0, -3.0, None]})
    >>> columns = ScaledColumns.of(frame, ["x__difference"], odd=True)
    >>> columns.scale(frame).ravel().round(2).tolist()
    [1.22, -1.22, 0.0]
    """

    names: tuple[str, ...]
    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, frame: pl.DataFrame, names: Sequence[str], *, odd: bool) -> ScaledColumns:
        """Measure centre and spread on training battles."""
        values = _symlog(frame, names)
        present = np.isfinite(values)
        count = np.maximum(present.sum(0), 1)
        filled = np.where(present, values, 0.0)
        centre = np.zeros(values.shape[1]) if odd else filled.sum(0) / count
        # Centred by what is missing too, so that a rare column is not blown up.
        deviation = np.where(present, values - centre, 0.0)
        spread = np.sqrt((deviation**2).mean(0))
        return cls(tuple(names), centre, np.where(spread > 0, spread, 1.0))

    def scale(self, frame: pl.DataFrame) -> Floats:
        """The scaled columns, float64 of shape (n, columns)."""
        values = (_symlog(frame, self.names) - self.centre) / self.spread
        clipped: Floats = np.clip(np.nan_to_num(values, nan=0.0), -LARGEST, LARGEST)
        return clipped


def _symlog(frame: pl.DataFrame, names: Sequence[str]) -> Floats:
    # A frame without columns would forget how many rows it has.
    values = frame.select(names).cast(pl.Float64).to_numpy().reshape(len(frame), len(names))
    logged: Floats = np.sign(values) * np.log1p(np.abs(values))
    return logged


@dataclass(frozen=True)
class SymmetricLogistic:
    """One fold's pair of regressions.

    Parameters
    ----------
    odd, even : ScaledColumns
    margin : float64 array of shape (odd columns,)
        Coefficients of the log odds that a beats b.
    tie : float64 array of shape (even columns,)
        Coefficients of the log odds of a tie.
    tie_intercept : float
    penalties : tuple of float
        Those chosen, of the margin and of the tie.
    """

    odd: ScaledColumns
    even: ScaledColumns
    margin: Floats
    tie: Floats
    tie_intercept: float
    penalties: tuple[float, float]

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Probabilities, float64 of shape (n, 3); exchanged sides give exactly exchanged ones."""
        with threadpool_limits(limits=1, user_api="blas"):
            margin = _dot(self.odd.scale(frame), self.margin)
            tie = _dot(self.even.scale(frame), self.tie) + self.tie_intercept
        return joined_probabilities(margin, tie)


def _dot(rows: Floats, coefficients: Floats) -> Floats:
    # A sum over columns in one order: a matrix product may sum the negated row otherwise.
    total = np.zeros(len(rows))
    for column, coefficient in enumerate(coefficients):
        total += rows[:, column] * coefficient
    return total


def joined_probabilities(margin: Floats, tie: Floats) -> Probabilities:
    """Three probabilities from the log odds of a against b and those of a tie.

    Examples
    --------
    >>> joined_probabilities(np.zeros(1), np.zeros(1)).tolist()
    [[0.25, 0.25, 0.5]]
    """
    tied = 1.0 / (1.0 + np.exp(-tie))
    # Each side from its own exponential, so that exchanging them is exact.
    a, b = 1.0 / (1.0 + np.exp(-margin)), 1.0 / (1.0 + np.exp(margin))
    untied = 1.0 - tied
    joined: Probabilities = np.stack([untied * a, untied * b, tied], axis=1)
    return joined


@dataclass(frozen=True)
class LinearStacker:
    """One `SymmetricLogistic` a fold, whose mean predicts."""

    models: Sequence[SymmetricLogistic]

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Uncalibrated probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        total = np.zeros((len(frame), 3))
        for model in self.models:
            total += model.predict(frame)
        return total / len(self.models)


def fit_linear_stacker(data: StackingData) -> tuple[LinearStacker, Probabilities]:
    """Fit one pair a fold on the other folds, and predict every battle out of fold.

    Returns
    -------
    The fold models, and float64 probabilities of shape (n, 3).
    """
    prediction = np.zeros((len(data.labels), 3))
    models = []
    for held_out in data.fold_numbers:
        model = fit_symmetric_logistic(data, data.training_rows(held_out))
        rows = np.flatnonzero(data.folds == held_out)
        prediction[rows] = model.predict(data.frame[rows])
        models.append(model)
    return LinearStacker(tuple(models)), prediction


def fit_symmetric_logistic(data: StackingData, rows: NDArray[np.int64]) -> SymmetricLogistic:
    """Fit the pair on some battles, each penalty chosen across their folds."""
    frame, labels, folds = data.frame[rows], data.labels[rows], data.folds[rows]
    odd = ScaledColumns.of(frame, _of(data.parity, frame, Parity.ODD), odd=True)
    even = ScaledColumns.of(frame, _of(data.parity, frame, Parity.EVEN), odd=False)
    decisive = np.flatnonzero(labels != TIE)
    with threadpool_limits(limits=1, user_api="blas"):
        margin = _choose_ridge(
            odd.scale(frame)[decisive], labels[decisive] == 0, folds[decisive], intercept=False
        )
        tie = _choose_ridge(even.scale(frame), labels == TIE, folds, intercept=True)
    return SymmetricLogistic(odd, even, margin[0], tie[0], tie[1], penalties=(margin[2], tie[2]))


def _of(parity: Mapping[str, Parity], frame: pl.DataFrame, kind: Parity) -> list[str]:
    return [name for name in frame.columns if parity[name] is kind]


def _choose_ridge(
    rows: Floats, hits: NDArray[np.bool_], folds: NDArray[np.int64], *, intercept: bool
) -> tuple[Floats, float, float]:
    """Coefficients, intercept and penalty."""
    losses = np.zeros(len(PENALTIES))
    for fold in np.unique(folds):
        outside = folds != fold
        for index, penalty in enumerate(PENALTIES):
            coefficients, constant = _ridge(rows[outside], hits[outside], penalty, intercept)
            logits = rows[~outside] @ coefficients + constant
            losses[index] += (np.logaddexp(0.0, logits) - hits[~outside] * logits).sum()
    penalty = PENALTIES[int(losses.argmin())]
    return *_ridge(rows, hits, penalty, intercept), penalty


def _ridge(
    rows: Floats, hits: NDArray[np.bool_], penalty: float, intercept: bool
) -> tuple[Floats, float]:
    """Coefficients and intercept; where there is nothing to tell apart, the base rate alone."""
    count = int(hits.sum())
    if rows.shape[1] == 0 or count in (0, len(hits)):
        base = float(np.log((count + 0.5) / (len(hits) - count + 0.5)))
        return np.zeros(rows.shape[1]), base if intercept else 0.0
    model = LogisticRegression(C=1.0 / penalty, fit_intercept=intercept, solver="newton-cholesky")
    model.fit(rows, hits)
    return model.coef_[0], float(model.intercept_[0]) if intercept else 0.0
