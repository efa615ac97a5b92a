"""Probabilities of the three outcomes, their loss, and the prior that they are held against.

Probabilities are float64 arrays of shape (n, 3) in the order of
`featlab.battles.OUTCOMES`; labels are integers 0, 1 and 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_SMALLEST = 1e-15


def row_log_loss(probabilities: Probabilities, labels: Labels) -> Floats:
    """Return the loss of each row, -log of the probability given to what happened, in nats.

    Examples
    --------
    >>> row_log_loss(np.array([[0.5, 0.25, 0.25]]), np.array([0])).round(4)
    array([0.6931])
    """
    chosen = probabilities[np.arange(len(labels)), labels]
    loss: Floats = -np.log(np.clip(chosen, _SMALLEST, 1.0))
    return loss


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean loss, in nats."""
    return float(row_log_loss(probabilities, labels).mean())


def prior(labels: Labels) -> Probabilities:
    """Return the outcome shares of `labels`, wins made equal for both sides: shape (3,)."""
    share = np.bincount(labels, minlength=3) / len(labels)
    decisive = (share[0] + share[1]) / 2
    return np.array([decisive, decisive, share[2]])


def out_of_fold_prior(labels: Labels, folds: Rows) -> Probabilities:
    """Return for each fold the `prior` of the other folds: shape (n, 3)."""
    result = np.empty((len(labels), 3))
    for fold in np.unique(folds):
        result[folds == fold] = prior(labels[folds != fold])
    return result


def exchanged(probabilities: Probabilities) -> Probabilities:
    """Return the probabilities of the exchanged battles: a's and b's columns change places."""
    return probabilities[:, [1, 0, 2]]
