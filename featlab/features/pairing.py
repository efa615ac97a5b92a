"""Columns made of the two sides' values of one feature, each with its parity.

Arithmetic is in float64 and exactly symmetric: exchanging the sides flips the
sign of an odd pairing bit for bit and leaves an even one as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from featlab.parity import Parity


@dataclass(frozen=True)
class Pairing:
    """How two sides' values become one column.

    Parameters
    ----------
    name : str
        The column is called ``{feature}__{name}``.
    build : callable
        From the values of side a and side b, as float64, to one expression.
    parity : Parity
        Odd or even.
    meaning : str
        What it tells, as words around the feature's own meaning.
    """

    name: str
    build: Callable[[pl.Expr, pl.Expr], pl.Expr]
    parity: Parity
    meaning: str

    def column(self, feature: str) -> str:
        """Return the column's name for a feature's name."""
        return f"{feature}__{self.name}"

    def expression(self, feature: str, side_a: pl.Expr, side_b: pl.Expr) -> pl.Expr:
        """Return the named float32 expression from the two sides' columns."""
        paired = self.build(side_a.cast(pl.Float64), side_b.cast(pl.Float64))
        return paired.cast(pl.Float32).alias(self.column(feature))


def _difference(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a - b


def _log_difference(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a.log1p() - b.log1p()


def _share(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    total = a + b
    return pl.when(total > 0).then((a - b) / total).otherwise(0.0)


def _absolute_difference(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return (a - b).abs()


def _sum(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    return a + b


DIFFERENCE = Pairing("difference", _difference, Parity.ODD, "a - b")
LOG_DIFFERENCE = Pairing("log_difference", _log_difference, Parity.ODD, "log(1 + a) - log(1 + b)")
SHARE = Pairing("share", _share, Parity.ODD, "(a - b) / (a + b), 0 where both are 0")
ABSOLUTE_DIFFERENCE = Pairing("absolute_difference", _absolute_difference, Parity.EVEN, "|a - b|")
SUM = Pairing("sum", _sum, Parity.EVEN, "a + b")

PAIRINGS = (DIFFERENCE, LOG_DIFFERENCE, SHARE, ABSOLUTE_DIFFERENCE, SUM)
"""Every pairing there is."""

NO_PAIRING: tuple[Pairing, ...] = ()

LENGTH_PAIRINGS = PAIRINGS
"""For the lengths that decide most: every pairing."""

SIZE_PAIRINGS = (DIFFERENCE, LOG_DIFFERENCE, SUM)
"""For sizes, which span orders of magnitude."""

COUNT_PAIRINGS = (DIFFERENCE, SUM)
"""For counts that are often zero, shares, means and flags.

Trees find the absolute difference in the difference by two splits, and more
pairings of such columns gave nothing (out of fold, over three sets of folds).
"""
