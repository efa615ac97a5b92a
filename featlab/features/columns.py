"""The columns that features give for some texts: what they are, and the query that computes them.

`FeatureColumns` is the core that battles, single texts and pairs of texts share.
Each of them only says which columns a feature gives (`FeatureColumns.built`);
selection, checking, planning and fingerprints follow from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import polars as pl

from featlab.columns import Column, parities
from featlab.errors import FeatureError
from featlab.features.feature import Feature, Scope, checked, selected
from featlab.features.planning import layers, with_computed
from featlab.features.text import Text
from featlab.files import value_fingerprint
from featlab.parity import Parity

ONE_TEXT = frozenset({Scope.PROMPT, Scope.RESPONSE})
"""The scopes whose features are built from one text."""

Built = tuple[Column, pl.Expr]
"""A column and the expression that makes it."""


class FeatureColumns(ABC):
    """The columns that a selection of features gives for `texts`.

    Parameters
    ----------
    texts : sequence of str
        The columns of turns, List(String), that features are built from; beside
        each stands its flag ``{text}__null``.
    features : iterable of Feature
        What there is to select from, and to build upon.
    families : iterable of str, optional
        Keep the features of these families.
    names : iterable of str, optional
        Keep the features of these names, beside those of `families`.

    Raises
    ------
    FeatureError
        For features declared twice, and families or names that do not exist;
        for columns written twice or over a text, from `check_names` and `compute`.
    """

    def __init__(
        self,
        texts: Sequence[str],
        features: Iterable[Feature],
        families: Iterable[str] | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        self.texts = tuple(texts)
        self.available = checked(features)
        self.features = selected(self.available, families, names)
        # Planning would be a quarter of the time of a single battle.
        self._plans: dict[frozenset[str], list[dict[str, pl.Expr]]] = {}

    @abstractmethod
    def built(self, features: Iterable[Feature]) -> Iterator[Built]:
        """Yield every column of some features, in order."""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column in order, with its parity and meaning."""
        return tuple(column for column, _ in self.built(self.features))

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [column.name for column in self.columns]

    @property
    def parity(self) -> dict[str, Parity]:
        """Column name -> parity, as `featlab.parity.swap` wants it of battles."""
        return parities(self.columns)

    @cached_property
    def definitions(self) -> dict[str, pl.Expr]:
        """Column name -> expression, also of features that only others need."""
        definitions: dict[str, pl.Expr] = {}
        for column, expression in self.built(self.available):
            if column.name in definitions or column.name in self._given:
                raise FeatureError(f"two columns would be called '{column.name}'")
            definitions[column.name] = expression
        return definitions

    def check_names(self) -> None:
        """Raise a FeatureError where two columns would be called alike."""
        _ = self.definitions

    def fingerprint(self) -> str:
        """Return a key of caches that follows names, expressions and dtypes, also of parts."""
        steps = layers(self.names, self.definitions, self._given)
        expressions = {
            name: expression.meta.serialize(format="json")
            for step in steps
            for name, expression in step.items()
        }
        return value_fingerprint({"columns": self.names, "expressions": expressions})

    def compute(self, frame: pl.LazyFrame, keep: Sequence[str] = ()) -> pl.LazyFrame:
        """Compute the columns, lazily, one row for each row of the frame and in the same order.

        Parameters
        ----------
        frame : LazyFrame
            Holds the texts as columns of turns, and their flags.
        keep : sequence of str
            Columns of the frame to put in front.
        """
        present = frozenset(frame.collect_schema().names())
        if present not in self._plans:
            self._plans[present] = layers(self.names, self.definitions, present)
        return with_computed(frame, self._plans[present], self.names, keep)

    @property
    def _given(self) -> set[str]:
        return {*self.texts, *(f"{text}__null" for text in self.texts)}


def column_of(feature: Feature, prefix: str, parity: Parity, *texts: str, of: str = "") -> Built:
    """Return the column that a feature gives for the texts, called ``{prefix}__{feature}``."""
    meaning = f"of {of}: {feature.meaning}" if of else feature.meaning
    column = Column(feature.column(prefix), parity, feature.family, meaning, feature=feature.name)
    return column, feature.expression(prefix, *map(Text, texts))


def pairings_of(feature: Feature, sides: tuple[str, str]) -> Iterator[Built]:
    """Yield the columns made of the feature's values for two sides."""
    values = [pl.col(feature.column(side)) for side in sides]
    for pairing in feature.pairings:
        column = Column(
            pairing.column(feature.name),
            pairing.parity,
            feature.family,
            f"{pairing.meaning} of: {feature.meaning}",
            feature=feature.name,
        )
        yield column, pairing.expression(feature.name, *values)
