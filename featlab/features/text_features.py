"""The same features for any text columns: one by one, or two of them as a pair.

Columns are named ``{column}__{feature}``; for a pair, ``{feature}__{pairing}`` and
``pair__{feature}`` join them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from featlab.errors import FeatureError
from featlab.features.catalogue import FEATURES
from featlab.features.columns import ONE_TEXT, Built, FeatureColumns, column_of, pairings_of
from featlab.features.feature import Feature, Scope
from featlab.parity import Parity

PAIR = "pair"


class TextColumns(FeatureColumns):
    """The columns that features of one text give for each of some text columns.

    Parameters
    ----------
    texts : sequence of str
        The columns of turns.
    features : iterable of Feature
        Features that need two texts are left out.
    families, names : iterable of str, optional
        Keep the features of these families, and those of these names.

    Raises
    ------
    FeatureError
        For names declared twice, and families or names that do not exist.

    Examples
    --------
    >>> TextColumns(["essay"], names=["words", "sentences"]).names
    ['essay__words', 'essay__sentences']
    """

    def __init__(
        self,
        texts: Sequence[str],
        features: Iterable[Feature] = FEATURES,
        families: Iterable[str] | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        of_one = (feature for feature in features if ONE_TEXT & set(feature.scopes))
        super().__init__(texts, of_one, families, names)

    def built(self, features: Iterable[Feature]) -> Iterator[Built]:
        """Yield every column of some features, text by text."""
        chosen = tuple(features)
        for text in self.texts:
            for feature in chosen:
                yield column_of(feature, text, Parity.EVEN, text, of=text)


class PairColumns(FeatureColumns):
    """The columns that features give for two texts: of each, of both, and paired.

    Parameters
    ----------
    first, second : str
        The two columns of turns; differences are first minus second.
    features : iterable of Feature
        Features of a response with its prompt are left out.
    families, names : iterable of str, optional
        Keep the features of these families, and those of these names.

    Raises
    ------
    FeatureError
        For names declared twice, families or names that do not exist, and a text
        paired with itself.

    Examples
    --------
    >>> PairColumns("q1", "q2", names=["emoji", "jaccard"]).names
    ['q1__emoji', 'q2__emoji', 'emoji__difference', 'emoji__sum', 'pair__jaccard']
    """

    def __init__(
        self,
        first: str,
        second: str,
        features: Iterable[Feature] = FEATURES,
        families: Iterable[str] | None = None,
        names: Iterable[str] | None = None,
    ) -> None:
        if first == second:
            raise FeatureError(f"column '{first}' cannot be paired with itself")
        scopes = ONE_TEXT | {Scope.RESPONSES}
        suited = (feature for feature in features if scopes & set(feature.scopes))
        super().__init__((first, second), suited, families, names)

    def built(self, features: Iterable[Feature]) -> Iterator[Built]:
        """Yield every column of some features: both texts, then what is made of the two."""
        first, second = self.texts
        for feature in features:
            if ONE_TEXT & set(feature.scopes):
                for text in (first, second):
                    yield column_of(feature, text, Parity.SIDE, text, of=text)
                yield from pairings_of(feature, (first, second))
            if Scope.RESPONSES in feature.scopes:
                yield column_of(feature, PAIR, Parity.EVEN, first, second)
