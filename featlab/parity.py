"""What exchanging the two sides of a battle does to a column.

Nothing about a battle depends on which response is shown left, save the
voter's small position bias. Every column therefore declares its `Parity`, and
`swap` is one generic function over any frame whose columns have one.

Side columns name their side in the first part of their name, the part before
the double underscore: ``response_a__words`` is the twin of
``response_b__words``, ``model_a`` that of ``model_b``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import polars as pl

from featlab.errors import FeatureError

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class Parity(StrEnum):
    """How a column behaves when sides a and b are exchanged.

    Examples
    --------
    >>> frame = pl.DataFrame({"longer": [3], "length": [9]})
    >>> swap(frame, {"longer": Parity.ODD, "length": Parity.EVEN}).row(0)
    (-3, 9)
    """

    ODD = "odd"
    """It changes sign: a difference."""

    EVEN = "even"
    """It stays: a sum, an absolute difference, anything of the prompt."""

    SIDE = "side"
    """It has a twin on the other side, and the two exchange their values."""


def twin(name: str) -> str:
    """Return the name of the same column on the other side.

    Raises
    ------
    FeatureError
        When the name carries no side.

    Examples
    --------
    >>> twin("response_a__words"), twin("model_b")
    ('response_b__words', 'model_a')
    """
    stem, separator, rest = name.partition("__")
    if stem.endswith("_a"):
        return f"{stem[:-1]}b{separator}{rest}"
    if stem.endswith("_b"):
        return f"{stem[:-1]}a{separator}{rest}"
    raise FeatureError(f"column '{name}' has parity 'side' but its name carries no side")


def swap(frame: Frame, parity: Mapping[str, Parity]) -> Frame:
    """Return the same battles with sides a and b exchanged.

    Parameters
    ----------
    frame : DataFrame or LazyFrame
        Any frame; columns that `parity` does not name are taken as even
        (an id, a fold).
    parity : mapping of str to Parity
        What swapping does to each column.

    Returns
    -------
    The same kind of frame, with the same columns in the same order.

    Examples
    --------
    >>> frame = pl.DataFrame({"response_a__words": [3], "response_b__words": [5], "d": [-2]})
    >>> side = Parity.SIDE
    >>> kinds = {"response_a__words": side, "response_b__words": side, "d": Parity.ODD}
    >>> swap(frame, kinds).rows()
    [(5, 3, 2)]
    """
    names = frame.collect_schema().names()

    def swapped(name: str) -> pl.Expr:
        match parity.get(name, Parity.EVEN):
            case Parity.ODD:
                return -pl.col(name)
            case Parity.SIDE:
                return pl.col(twin(name)).alias(name)
            case _:
                return pl.col(name)

    return frame.select(swapped(name) for name in names)
