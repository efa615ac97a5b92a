"""How much of an answer it has said before: the share of repeated runs of words.

Neural text repeats itself where it goes wrong (Welleck et al., "Neural text
generation with unlikelihood training", ICLR 2020, section 6, seq-rep-n).
"""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "repetition"


def _repeated(text: Text, size: int) -> pl.Expr:
    runs = text.ngrams(size).list
    total = runs.len().cast(pl.Int64)
    return per(total - runs.n_unique(), total)


FEATURES = tuple(
    Feature(
        f"repeated_{size}grams",
        partial(_repeated, size=size),
        pl.Float32,
        FAMILY,
        f"share of the runs of {size} words that stood before in the same answer",
        pairings=COUNT_PAIRINGS,
    )
    for size in (2, 4)
)
