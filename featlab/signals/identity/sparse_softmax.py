"""Ridge multinomial logistic regression on sparse rows, for a few dozen classes.

Two products with the rows a step, in float32, and nothing of shape
(rows, columns): 92,000 texts need the memory of their rows twice. Coefficients
are scaled by what the curvature of each is at the base rates, so that a dozen
steps come as far as a hundred without.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from featlab.errors import ConfigError
from featlab.threads import one_blas_thread

Floats = NDArray[np.float64]

_REMEMBERED_STEPS = 6
_LEAST_PROGRESS = 1e-5


def ridge_softmax(
    rows: sparse.csr_matrix,
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
    rows : csr_matrix of float32, shape (n, columns)
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
    >>> coefficients, _ = ridge_softmax(rows, np.arange(3), 3, np.ones(3), 0.1, steps=30)
    >>> (rows @ coefficients).argmax(axis=1).tolist()
    [0, 1, 2]
    """
    if penalty <= 0:
        raise ConfigError(f"a ridge penalty must be above 0, not {penalty}")
    size, columns = rows.shape
    total = max(float(weight.sum()), 1e-12)
    narrow = weight.astype(np.float32)
    mean = (rows.T @ narrow / np.float32(total)).astype(np.float32)
    counted = np.bincount(classes, weight, minlength=count).astype(np.float64) + 0.5
    shares: Floats = counted / counted.sum()
    scale = _scale(rows, weight, mean, shares, penalty)
    transposed = rows.T.tocsr()
    own = (np.arange(size), classes)

    def loss(flat: Floats) -> tuple[float, Floats]:
        parameters = flat.reshape(columns + 1, count) * scale
        coefficients = parameters[:-1].astype(np.float32)
        logits = rows @ coefficients
        logits += parameters[-1].astype(np.float32) - mean @ coefficients
        logits -= logits.max(axis=1, keepdims=True)
        likelihood = -logits[own]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=1)
        likelihood += np.log(sums)
        logits /= sums[:, None]
        logits[own] -= 1.0
        logits *= narrow[:, None]
        surplus = logits.sum(axis=0, dtype=np.float64)
        gradient = np.empty_like(parameters)
        gradient[:-1] = transposed @ logits
        gradient[:-1] -= np.outer(mean, surplus)
        gradient[:-1] += penalty * parameters[:-1]
        gradient[-1] = surplus
        ridge = penalty / 2.0 * float((parameters[:-1] ** 2).sum())
        return float(weight @ likelihood) + ridge, (gradient * scale).ravel()

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


def _scale(
    rows: sparse.csr_matrix,
    weight: Floats,
    mean: NDArray[np.float32],
    shares: Floats,
    penalty: float,
) -> Floats:
    """Return one over the root of every parameter's curvature at the base rates.

    The largest is 1, so that the first step of the search is no leap.
    """
    squares = sparse.csr_matrix((rows.data**2, rows.indices, rows.indptr), rows.shape)
    total = float(weight.sum())
    spread = squares.T @ weight - total * mean.astype(np.float64) ** 2
    spread = np.append(np.maximum(spread, 0.0), total)
    curvature = np.outer(spread, shares * (1.0 - shares)) + penalty
    scale: Floats = np.sqrt(curvature.min() / curvature)
    return scale
