"""Whether the two responses amount to the same, which is what ties are made of."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.text import Text, per

FAMILY = "agreement"


def _says(text: Text, verdict: str) -> pl.Expr:
    return text.feature(f"opens_with_{verdict}") > 0


def _same_verdict(first: Text, second: Text) -> pl.Expr:
    return (_says(first, "yes") & _says(second, "yes")) | (_says(first, "no") & _says(second, "no"))


def _other_verdict(first: Text, second: Text) -> pl.Expr:
    return (_says(first, "yes") & _says(second, "no")) | (_says(first, "no") & _says(second, "yes"))


def _length_ratio(first: Text, second: Text) -> pl.Expr:
    sizes = [text.feature("characters") for text in (first, second)]
    return per(pl.min_horizontal(sizes), pl.max_horizontal(sizes))


_of_both = partial(Feature, family=FAMILY, scopes=(Scope.RESPONSES,))

FEATURES = (
    _of_both(
        "same_verdict",
        _same_verdict,
        pl.UInt8,
        meaning="1 where both open with yes or both with no",
    ),
    _of_both(
        "other_verdict",
        _other_verdict,
        pl.UInt8,
        meaning="1 where one opens with yes and the other with no",
    ),
    _of_both(
        "length_ratio",
        _length_ratio,
        pl.Float32,
        meaning="characters of the shorter response for each one of the longer",
    ),
)
