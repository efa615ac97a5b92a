"""Products with sparse rows on several threads: the same sums for any number of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from featlab.threads import Workers

Narrow = NDArray[np.float32]


class SparseProducts:
    """Some blocks of rows as one matrix to multiply by, each block on a thread.

    Parameters
    ----------
    blocks : sequence of csr_matrix of float32, shape (any, columns)
        One above the other, a few for each thread. No views of less than half
        of a larger block: SciPy copies those at every product.
    workers : Workers
        The threads.

    Examples
    --------
    >>> rows = sparse.csr_matrix(np.array([[1.0, 2.0], [0.0, 3.0]], dtype=np.float32))
    >>> ones = np.ones(2, np.float32)
    >>> with Workers() as workers:
    ...     products = SparseProducts([rows, rows[:1]], workers)
    ...     products.times(ones), products.transposed_times(np.ones(3, np.float32))
    (array([3., 3., 3.], dtype=float32), array([2., 7.], dtype=float32))
    """

    def __init__(self, blocks: Sequence[sparse.csr_matrix], workers: Workers) -> None:
        self.columns = int(blocks[0].shape[1])
        self._blocks = blocks
        self._ends = np.cumsum([block.shape[0] for block in blocks])
        self._workers = workers

    def times(self, right: Narrow) -> Narrow:
        """Return the rows times a vector or a matrix of float32."""
        return np.concatenate(self._workers.map(lambda block: block @ right, self._blocks))

    def transposed_times(self, left: Narrow) -> Narrow:
        """Return the transposed rows times a vector of float32, the blocks' shares in order."""
        shares = np.split(left, self._ends[:-1])
        total = np.zeros(self.columns, np.float32)
        for product in self._workers.map(
            lambda both: both[0].T @ both[1], zip(self._blocks, shares, strict=True)
        ):
            total += product
        return total
