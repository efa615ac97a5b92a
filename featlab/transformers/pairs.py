"""Features of two text columns, of each and of both together."""

from __future__ import annotations

from collections.abc import Iterable

from featlab.battles import TextFormat
from featlab.features import Feature, FeatureColumns, PairColumns
from featlab.transformers.base import FeatureTransformer


class PairFeatures(FeatureTransformer):
    """Features of two text columns: of each, of their difference, and of their overlap.

    Columns are called ``{column}__{feature}`` for each text, ``{feature}__{pairing}``
    for what is made of the two values (``words__difference`` is first minus second),
    and ``pair__{feature}`` for what is read from both texts (``pair__jaccard``).

    Parameters
    ----------
    first, second : str
        The two text columns.
    families, features, extra_features, texts
        Which features to keep, your own ones, and what a string is, as
        `featlab.TextFeatures` takes them.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
        The two text columns.
    n_features_in_ : int
        2.

    Examples
    --------
    >>> import polars as pl
    >>> from featlab import PairFeatures
    >>> pairs = pl.DataFrame({"q1": ["How are you?"], "q2": ["How old are you?"]})
    >>> features = PairFeatures("q1", "q2", features=["emoji", "jaccard"])
    >>> features.fit_transform(pairs).to_dicts()
    [{'q1__emoji': 0, 'q2__emoji': 0, 'emoji__difference': 0.0, 'emoji__sum': 0.0,
      'pair__jaccard': 0.75}]
    """

    def __init__(
        self,
        first: str,
        second: str,
        *,
        families: str | Iterable[str] | None = None,
        features: str | Iterable[str] | None = None,
        extra_features: Iterable[Feature] = (),
        texts: TextFormat = "plain",
    ) -> None:
        self.first = first
        self.second = second
        self.families = families
        self.features = features
        self.extra_features = extra_features
        self.texts = texts

    def _text_columns(self) -> list[str]:
        return [self.first, self.second]

    def _planned(self, texts: tuple[str, ...]) -> FeatureColumns:
        first, second = texts
        return PairColumns(first, second, *self._chosen())
