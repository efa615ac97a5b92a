"""The text signal: every declared feature of a battle, both sides, and their pairings.

Columns are named ``prompt__words``, ``response_a__words``, ``responses__jaccard``
and, for pairings of the two sides, ``words__difference``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from featlab.features.catalogue import FEATURES
from featlab.features.columns import Built, FeatureColumns, column_of, pairings_of
from featlab.features.feature import Feature, Scope
from featlab.parity import Parity

PROMPT = "prompt"
SIDES = ("response_a", "response_b")
RESPONSES = "responses"


class BattleColumns(FeatureColumns):
    """The columns that a set of features gives for battles.

    Parameters
    ----------
    features : iterable of Feature
        Built-in ones by default; your own join by concatenation.
    families : iterable of str, optional
        Keep the features of these families.
    names : iterable of str, optional
        Keep the features of these names, beside those of `families`.

    Raises
    ------
    FeatureError
        For names declared twice, and families or names that do not exist.

    Examples
    --------
    >>> columns = BattleColumns(families=["newlines"])
    >>> columns.parity["newlines__difference"], columns.parity["response_a__newlines"]
    (<Parity.ODD: 'odd'>, <Parity.SIDE: 'side'>)
    """

    def __init__(
        self,
        features: Iterable[Feature] = FEATURES,
        families: Iterable[str] | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        super().__init__((PROMPT, *SIDES), features, families, names)

    def built(self, features: Iterable[Feature]) -> Iterator[Built]:
        """Yield every column of some features: scope by scope, both sides, then their pairings."""
        for feature in features:
            for scope in feature.scopes:
                match scope:
                    case Scope.PROMPT:
                        yield column_of(feature, PROMPT, Parity.EVEN, PROMPT, of="the prompt")
                    case Scope.RESPONSES:
                        yield column_of(feature, RESPONSES, Parity.EVEN, *SIDES)
                    case _:
                        extra = (PROMPT,) if scope is Scope.RESPONSE_TO_PROMPT else ()
                        for side in SIDES:
                            of = side.replace("_", " ")
                            yield column_of(feature, side, Parity.SIDE, side, *extra, of=of)
                        yield from pairings_of(feature, SIDES)

    def compute(self, frame: pl.LazyFrame, keep: Sequence[str] = ("id",)) -> pl.LazyFrame:
        """Compute ``id`` and the columns, lazily, one row a battle in the same order.

        Parameters
        ----------
        frame : LazyFrame
            Canonical battles (see `featlab.battles`).
        keep : sequence of str
            Columns of the frame to put in front.
        """
        return super().compute(frame, keep)
