"""Columns of a battle as typed objects: nothing about one is read off its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from featlab.parity import Parity


class Kind(StrEnum):
    """What the numbers of a column are, for whoever learns from it.

    Examples
    --------
    >>> Column("llm", Parity.ODD, "llm", "its log odds that a wins", Kind.MARGIN).kind
    <Kind.MARGIN: 'margin'>
    """

    SCALAR = "scalar"
    """They mean something by themselves."""

    MARGIN = "margin"
    """How far a signal that learned leans to one side: odd, and its size is worth a column."""

    VECTOR = "vector"
    """One coordinate of a vector: only distances between whole vectors mean something."""


@dataclass(frozen=True)
class Column:
    """One column of a signal.

    Parameters
    ----------
    name : str
        Unique among the columns of a run.
    parity : Parity
        What exchanging the sides does to it.
    family : str
        The group that it is selected and reported by.
    meaning : str
        One line, the unit included.
    kind : Kind
        What its numbers are.
    feature : str
        The declared feature it is a view of; by default its own name.

    Examples
    --------
    >>> Column("words__difference", Parity.ODD, "verbosity", "a - b of: words").feature
    'words__difference'
    """

    name: str
    parity: Parity
    family: str
    meaning: str
    kind: Kind = Kind.SCALAR
    feature: str = ""

    def __post_init__(self) -> None:
        if not self.feature:
            object.__setattr__(self, "feature", self.name)


def parities(columns: Iterable[Column]) -> dict[str, Parity]:
    """Return name -> parity of some columns, in order, as `featlab.parity.swap` takes it."""
    return {column.name: column.parity for column in columns}
