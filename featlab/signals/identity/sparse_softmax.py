"""Ridge multinomial logistic regression on sparse rows, for a few dozen classes.

Both products with a block of rows, in float32, while its logits are in the
cache, which takes half the time of two products with all rows, and nothing of
shape (rows, columns). Coefficients are scaled by what the curvature of each is
at the base rates, so that a dozen steps come as far as a hundred without.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from featlab.errors import ConfigError
from featlab.threads import one_blas_thread

Floats = NDArray[np.float64]

_REMEMBERED_STEPS = 6
_LEAST_PROGRESS = 1e-5


def ridge_softmax(
    blocks: Sequence[sparse.csr_matrix],
    classes: NDArray[np.int64],
    count: int,
    weight: Floats,
    penalty: float,
    steps: int,
) -> tuple[NDArray[np.float32], Floats]:
    """Fit one regression.

    Minimises the sum over rows of the weighted log loss, plus half the penalty
    times the squared coefficients, by L-BFGS on columns shifted to mean 0 and
    scaled, which changes nothing but its speed.

    Parameters
    ----------
    blocks : sequence of csr_matrix of float32, shape (any, columns)
        The n rows, a few thousand a block.
    classes : int64 array of shape (n,)
        0 to `count` - 1.
    count : int
        Number of classes.
    weight : float64 array of shape (n,)
    penalty : float
        Above 0. Intercepts are free.
    steps : int
        At most so many; stopping early shrinks a little more.

    Returns
    -------
    Coefficients, float32 of shape (columns, classes), and intercepts, float64.

    Raises
    ------
    ConfigError
        When the penalty is not above 0.

    Examples
    --------
    >>> rows = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    >>> coefficients, _ = ridge_softmax([rows], np.arange(3), 3, np.ones(3), 0.1, steps=30)
    >>> (rows @ coefficients).argmax(axis=1).tolist()
    [0, 1, 2]
    """
    if penalty <= 0:
        raise ConfigError(f"a ridge penalty must be above 0, not {penalty}")
    columns = blocks[0].shape[1]
    total = max(float(weight.sum()), 1e-12)
    narrow = weight.astype(np.float32)
    ends = np.cumsum([0, *(block.shape[0] for block in blocks)])
    parts = [
        (block, narrow[start:stop], classes[start:stop])
        for block, (start, stop) in zip(blocks, pairwise(ends), strict=True)
    ]
    sums, squares = np.zeros(columns), np.zeros(columns)
    for rows, own, _ in parts:
        sums += rows.T @ own
        squares += rows.power(2).T @ own
    mean = (sums / total).astype(np.float32)
    counted = np.bincount(classes, weight, minlength=count).astype(np.float64) + 0.5
    shares: Floats = counted / counted.sum()
    scale = _scale(squares - total * (sums / total) ** 2, total, shares, penalty)

    def loss(flat: Floats) -> tuple[float, Floats]:
        parameters = flat.reshape(columns + 1, count) * scale
        coefficients = parameters[:-1].astype(np.float32)
        offset = parameters[-1].astype(np.float32) - mean @ coefficients
        ridge = penalty / 2.0 * float((parameters[:-1] ** 2).sum())
        gradient = penalty * parameters
        gradient[-1] = 0.0
        likelihood, surplus = 0.0, np.zeros(count)
        for rows, own, author in parts:
            logits = rows @ coefficients
            logits += offset
            logits -= logits.max(axis=1, keepdims=True)
            hit = (np.arange(len(own)), author)
            chosen = logits[hit]
            np.exp(logits, out=logits)
            sums = logits.sum(axis=1)
            likelihood += float(own @ (np.log(sums) - chosen))
            logits /= sums[:, None]
            logits[hit] -= 1.0
            logits *= own[:, None]
            surplus += logits.sum(axis=0)
            gradient[:-1] += rows.T @ logits
        gradient[:-1] -= np.outer(mean, surplus)
        gradient[-1] = surplus
        return likelihood + ridge, (gradient * scale).ravel()

    # Imported where something is fitted: predictions do not wait for it.
    from scipy.optimize import minimize

    start = np.zeros((columns + 1, count))
    start[-1] = np.log(shares) / scale[-1]
    # A second thread gains little on such narrow products and fights on a busy machine.
    with one_blas_thread():
        found = minimize(
            loss,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "maxcor": _REMEMBERED_STEPS, "ftol": _LEAST_PROGRESS},
        ).x.reshape(columns + 1, count)
    found *= scale
    return found[:-1].astype(np.float32), found[-1] - mean.astype(np.float64) @ found[:-1]


def _scale(spread: Floats, total: float, shares: Floats, penalty: float) -> Floats:
    """Return one over the root of every parameter's curvature at the base rates.

    The largest is 1, so that the first step of the search is no leap.
    """
    spread = np.append(np.maximum(spread, 0.0), total)
    curvature = np.outer(spread, shares * (1.0 - shares)) + penalty
    scale: Floats = np.sqrt(curvature.min() / curvature)
    return scale
