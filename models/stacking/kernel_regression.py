"""Ridge logistic regression on a kernel, its penalty chosen on folds that it did not see.

The kernel's columns are whitened by the kernel between its landmarks, after
which its prior is a plain ridge. Whitened rows are kept in float32, a fold
apart from the others, so that leaving one out copies nothing and the
competition's 57,477 battles take a few hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import expit

from models.probabilities import Floats, Rows
from models.stacking.table import Matrix

ENOUGH_ROWS = 5_000
"""Held-out rows that a penalty is chosen on, at least, if there are so many."""

# Columns are clipped and kernels at most 1: to look for what is not finite takes a tenth of a fit.
_cholesky = partial(linalg.cholesky, check_finite=False)
_solve_triangular = partial(linalg.solve_triangular, check_finite=False)

_CHUNK = 4_096
_JITTER = 1e-6
_STEPS = 60
_ROUGHLY, _CLOSELY = 1e-6, 1e-8


class _Part(NamedTuple):
    """Whitened rows with the share of hits and the weight of each."""

    rows: Matrix
    targets: Floats
    weight: Floats

    @property
    def gram(self) -> Floats:
        gram: Matrix = self.rows.T @ (self.rows * self.weight.astype(np.float32)[:, None])
        return gram.astype(np.float64)


def chunks(rows: Rows) -> Iterator[Rows]:
    """Yield rows a few thousand at a time, which is what is held in float64 at once."""
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]


class KernelRegression:
    """A regression to which rows are added fold by fold, and which is then fitted.

    Parameters
    ----------
    between : float64 array of shape (landmarks, landmarks)
        The kernel between landmarks.
    intercept : bool
        Whether there is one, which no penalty holds.
    """

    def __init__(self, between: Floats, *, intercept: bool) -> None:
        self.intercept = intercept
        self._whitening: Floats = _cholesky(between + _JITTER * np.eye(len(between)), lower=True)
        self._folds: dict[int, list[_Part]] = {}

    def add(
        self, fold: int, kernel: Floats, hits: Floats, weight: Floats, kept: NDArray[np.bool_]
    ) -> None:
        """Add some rows of a fold.

        Parameters
        ----------
        fold : int
        kernel : float64 array of shape (n, landmarks)
        hits, weight : float64 arrays of shape (n,)
            Weighted hits, and the weight that they are a share of.
        kept : bool array of shape (n,)
            The rows that count at all.
        """
        rows = _solve_triangular(self._whitening, kernel[kept].T, lower=True).T.astype(np.float32)
        if self.intercept:
            rows = np.hstack([rows, np.ones((len(rows), 1), np.float32)])
        weight = weight[kept]
        targets = hits[kept] / np.maximum(weight, np.finfo(np.float64).tiny)
        self._folds.setdefault(fold, []).append(_Part(rows, targets, weight))

    def best_fit(self, penalties: Sequence[float]) -> tuple[Floats, float, float]:
        """Return coefficients of the landmarks, intercept and penalty.

        Folds are held out until `ENOUGH_ROWS` rows are: with many battles one
        fold tells as much as all of them.

        Parameters
        ----------
        penalties : sequence of float
            To choose from, strongest first.
        """
        parts = [part for fold in self._folds.values() for part in fold]
        hits = float(sum(part.weight @ part.targets for part in parts))
        total = float(sum(part.weight.sum() for part in parts))
        start = float(np.log((hits + 0.5) / (total - hits + 0.5))) if self.intercept else 0.0
        size = len(self._whitening)
        if hits <= 0.0 or hits >= total:
            return np.zeros(size), start, penalties[0]
        grams = {
            fold: np.sum([part.gram for part in own], axis=0) for fold, own in self._folds.items()
        }
        gram = np.sum(list(grams.values()), axis=0)
        losses, seen = np.zeros(len(penalties)), 0
        for fold, own in self._folds.items():
            if seen >= ENOUGH_ROWS:
                break
            seen += sum(len(part.rows) for part in own)
            rest = [part for other in self._folds if other != fold for part in self._folds[other]]
            path = self._path(rest, gram - grams[fold], penalties, start, _ROUGHLY)
            for index, solution in enumerate(path):
                losses[index] += sum(_loss(part, _logits(part, solution)) for part in own)
        penalty = penalties[int(losses.argmin())]
        (solution,) = self._path(parts, gram, [penalty], start, _CLOSELY)
        coefficients: Floats = _solve_triangular(
            self._whitening, solution[:size], lower=True, trans="T"
        )
        return coefficients, float(solution[size]) if self.intercept else 0.0, penalty

    def _path(
        self,
        parts: Sequence[_Part],
        gram: Floats,
        penalties: Sequence[float],
        start: float,
        tolerance: float,
    ) -> Iterator[Floats]:
        """Minimise the penalised loss on some rows, each penalty from the solution before.

        In coordinates in which the curvature at the base rate is the identity,
        a few steps suffice.
        """
        # Imported where something is fitted: predictions do not wait for it.
        from scipy.optimize import minimize

        base = float(expit(start))
        solution = np.zeros(len(gram))
        if self.intercept:
            solution[-1] = start
        for penalty in penalties:
            ridge = np.full(len(gram), penalty)
            if self.intercept:
                ridge[-1] = _JITTER
            factor = _cholesky(gram * (base * (1.0 - base)) + np.diag(ridge))
            found = minimize(
                _penalised_loss,
                factor @ solution,
                args=(factor, ridge, parts),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": _STEPS, "ftol": tolerance, "gtol": 1e-4},
            )
            solution = _solve_triangular(factor, found.x)
            yield solution


def _penalised_loss(
    preconditioned: Floats, factor: Floats, ridge: Floats, parts: Sequence[_Part]
) -> tuple[float, Floats]:
    """Return the loss and its gradient at the solution of factor @ solution = preconditioned."""
    solution = _solve_triangular(factor, preconditioned)
    gradient = ridge * solution
    value = 0.5 * float(gradient @ solution)
    for part in parts:
        logits = _logits(part, solution)
        surplus = part.weight * (expit(logits) - part.targets)
        gradient += surplus.astype(np.float32) @ part.rows
        value += _loss(part, logits)
    return value, _solve_triangular(factor, gradient, trans="T")


def _logits(part: _Part, solution: Floats) -> Floats:
    logits: Floats = (part.rows @ solution.astype(np.float32)).astype(np.float64)
    return logits


def _loss(part: _Part, logits: Floats) -> float:
    return float(part.weight @ (np.logaddexp(0.0, logits) - part.targets * logits))
