"""Features of text columns, each on its own."""

from __future__ import annotations

from collections.abc import Iterable

from featlab.battles import TextFormat
from featlab.features import Feature, FeatureColumns, TextColumns
from featlab.transformers.base import FeatureTransformer, as_names


class TextFeatures(FeatureTransformer):
    """Features of single text columns, called ``{column}__{feature}``.

    Parameters
    ----------
    columns : str or list of str, optional
        The text columns; by default every column that holds text in `fit`.
    families : str or list of str, optional
        Keep the features of these families (see `featlab.feature_table`).
    features : str or list of str, optional
        Keep the features of these names, beside those of `families`; all features
        where neither is given.
    extra_features : iterable of Feature
        Your own, declared as the built-in ones are.
    texts : {"plain", "json_list"}
        Whether a string is one text or a JSON list of turns; columns of lists are
        taken as turns either way. Nulls are empty texts.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
        The text columns.
    n_features_in_ : int
        Their number.

    Examples
    --------
    >>> import polars as pl
    >>> from featlab import Feature, TextFeatures
    >>> essays = pl.DataFrame({"id": [1, 2], "essay": ["Why? Oh WHY?", None]})
    >>> TextFeatures(features=["words", "question_marks"]).fit_transform(essays).rows()
    [(3, 2), (0, 0)]

    Your own feature takes three lines:

    >>> shouting = Feature(
    ...     "shouting", lambda text: text.count(r"[A-Z]{3,}"), pl.UInt32, "mine", "shouted words"
    ... )
    >>> own = TextFeatures("essay", families="mine", extra_features=[shouting])
    >>> own.fit_transform(essays)["essay__shouting"].to_list()
    [1, 0]
    """

    def __init__(
        self,
        columns: str | Iterable[str] | None = None,
        *,
        families: str | Iterable[str] | None = None,
        features: str | Iterable[str] | None = None,
        extra_features: Iterable[Feature] = (),
        texts: TextFormat = "plain",
    ) -> None:
        self.columns = columns
        self.families = families
        self.features = features
        self.extra_features = extra_features
        self.texts = texts

    def _text_columns(self) -> list[str] | None:
        return as_names(self.columns)

    def _planned(self, texts: tuple[str, ...]) -> FeatureColumns:
        return TextColumns(texts, *self._chosen())
