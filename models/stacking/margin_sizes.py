"""The size of every learned margin, as a column of its own.

A signal that learns states how far it leans to one side in a column whose name
ends in ``margin``: odd, so of no use for ties to anything linear, although a
battle that it cannot decide is the likelier tie. The size is even.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from featlab.parity import Parity

MARGIN = "margin"
SIZE = "_size"


def margin_sizes(columns: Iterable[str]) -> list[pl.Expr]:
    """``{column}_size``, the absolute value, of every column that is a margin.

    Examples
    --------
    >>> frame = pl.DataFrame({"encoder_margin": [-2.0], "encoder_tie": [0.5]})
    >>> frame.select(margin_sizes(frame.columns))["encoder_margin_size"].to_list()
    [2.0]
    """
    return [pl.col(name).abs().alias(name + SIZE) for name in columns if name.endswith(MARGIN)]


def with_margin_sizes(parity: Mapping[str, Parity]) -> dict[str, Parity]:
    """The parities of some columns and of the sizes of the margins among them.

    Examples
    --------
    >>> with_margin_sizes({"encoder_margin": Parity.ODD})["encoder_margin_size"]
    <Parity.EVEN: 'even'>
    """
    sizes = {name + SIZE: Parity.EVEN for name in parity if name.endswith(MARGIN)}
    return {**parity, **sizes}
