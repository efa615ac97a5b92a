"""How many tokens conversations have under an encoder's own tokenizer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.evaluation.intervals import wilson

BINS = 40


def length_histogram(lengths: NDArray[np.int64], limits: dict[str, int]) -> pl.DataFrame:
    """Sequences in bins of equal width on a log scale, and the shares above some limits.

    Parameters
    ----------
    lengths : int64 array, shape (n,)
        Tokens of each sequence, uncut.
    limits : mapping of str to int
        Name of a limit -> its tokens.

    Returns
    -------
    DataFrame
        ``kind, name, from_tokens, to_tokens, sequences, of, share, low,
        high``: rows of kind "bin", then rows of kind "limit" for what lies
        above one.

    Examples
    --------
    >>> table = length_histogram(np.array([10, 600]), {"limit": 512})
    >>> table.filter(pl.col("kind") == "limit")["sequences"].to_list()
    [1]
    """
    edges = np.unique(
        np.geomspace(max(lengths.min(), 1), lengths.max() + 1, BINS + 1).round().astype(np.int64)
    )
    counts, _ = np.histogram(lengths, edges)
    rows = [
        ("bin", "", int(low), int(high), int(count))
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]
    longest = int(lengths.max())
    rows += [
        ("limit", name, tokens, longest, int((lengths > tokens).sum()))
        for name, tokens in limits.items()
    ]
    names = ["kind", "name", "from_tokens", "to_tokens", "sequences"]
    frame = pl.DataFrame(rows, names, orient="row").with_columns(
        pl.lit(len(lengths), pl.Int64).alias("of")
    )
    share, low, high = wilson(frame["sequences"].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series("share", share), pl.Series("low", low), pl.Series("high", high)
    )
