"""The text signal: every declared feature of a battle, both sides, and their pairings.

Columns are named ``prompt__words``, ``response_a__words``, ``responses__jaccard``
and, for pairings of the two sides, ``words__difference``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from featlab.features.catalogue import FEATURES
from featlab.features.feature import Feature, Scope, checked, selected
from featlab.features.planning import with_computed
from featlab.features.text import Text
from featlab.files import value_fingerprint
from featlab.parity import Parity

PROMPT = "prompt"
SIDES = ("response_a", "response_b")
RESPONSES = "responses"


@dataclass(frozen=True)
class Column:
    """One column of the text signal: where it comes from and how it behaves under a swap."""

    name: str
    feature: str
    family: str
    parity: Parity
    dtype: str
    meaning: str


class BattleColumns:
    """The columns that a set of features gives for battles.

    Parameters
    ----------
    features : iterable of Feature
        Built-in ones by default; your own join by concatenation.
    families : iterable of str, optional
        Keep only these families.

    Raises
    ------
    FeatureError
        For names declared twice and families that do not exist.

    Examples
    --------
    >>> columns = BattleColumns(families=["newlines"])
    >>> columns.parity["newlines__difference"], columns.parity["response_a__newlines"]
    (<Parity.ODD: 'odd'>, <Parity.SIDE: 'side'>)
    """

    def __init__(
        self, features: Iterable[Feature] = FEATURES, families: Iterable[str] | None = None
    ) -> None:
        self.available = checked(features)
        self.features = selected(self.available, families)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column in order, with its parity and meaning."""
        return tuple(column for feature in self.features for column in _columns(feature))

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [column.name for column in self.columns]

    @property
    def parity(self) -> dict[str, Parity]:
        """Column name -> parity, as `featlab.parity.swap` wants it."""
        return {column.name: column.parity for column in self.columns}

    @cached_property
    def definitions(self) -> dict[str, pl.Expr]:
        """Column name -> expression, also of features that only others need."""
        return {
            name: expression
            for feature in self.available
            for name, expression in _definitions(feature)
        }

    def fingerprint(self) -> str:
        """Changes when a name, an expression or a dtype does; keys caches of computed columns."""
        return value_fingerprint(
            [(name, self.definitions[name].meta.serialize(format="json")) for name in self.names]
        )

    def compute(self, battles: pl.LazyFrame) -> pl.LazyFrame:
        """``id`` and the columns, lazily, one row a battle in the same order.

        Parameters
        ----------
        battles : LazyFrame
            Canonical battles (see `featlab.battles`).
        """
        return with_computed(battles, self.names, self.definitions, keep=["id"])


def _columns(feature: Feature) -> Iterator[Column]:
    def column(name: str, parity: Parity, meaning: str, dtype: str = str(feature.dtype)) -> Column:
        return Column(name, feature.name, feature.family, parity, dtype, meaning)

    for scope in feature.scopes:
        match scope:
            case Scope.PROMPT:
                yield column(
                    feature.column(PROMPT), Parity.EVEN, f"of the prompt: {feature.meaning}"
                )
            case Scope.RESPONSES:
                yield column(feature.column(RESPONSES), Parity.EVEN, feature.meaning)
            case _:
                for side in SIDES:
                    yield column(
                        feature.column(side),
                        Parity.SIDE,
                        f"of {side.replace('_', ' ')}: {feature.meaning}",
                    )
                for pairing in feature.pairings:
                    yield column(
                        pairing.column(feature.name),
                        pairing.parity,
                        f"{pairing.meaning} of: {feature.meaning}",
                        "Float32",
                    )


def _definitions(feature: Feature) -> Iterator[tuple[str, pl.Expr]]:
    prompt = Text(PROMPT)
    for scope in feature.scopes:
        match scope:
            case Scope.PROMPT:
                yield feature.column(PROMPT), feature.expression(PROMPT, prompt)
            case Scope.RESPONSES:
                both = [Text(side) for side in SIDES]
                yield feature.column(RESPONSES), feature.expression(RESPONSES, *both)
            case _:
                extra = (prompt,) if scope is Scope.RESPONSE_TO_PROMPT else ()
                for side in SIDES:
                    yield feature.column(side), feature.expression(side, Text(side), *extra)
                for pairing in feature.pairings:
                    sides = [pl.col(feature.column(side)) for side in SIDES]
                    yield pairing.column(feature.name), pairing.expression(feature.name, *sides)
