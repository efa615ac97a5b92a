"""What the transformers share: fitting, computing, names, containers and fingerprints.

Fitting only notes which columns hold the texts. Nothing is learnt from rows, so
a transformer can be fitted on a lazy frame without reading it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np
import polars as pl
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from featlab.battles import TextFormat, with_turns
from featlab.errors import FeatureError
from featlab.features import FEATURES, Feature, FeatureColumns
from featlab.files import value_fingerprint
from featlab.transformers.frames import CONTAINERS, incoming, outgoing

TEXT_FORMATS = ("json_list", "plain")


class FeatureTransformer(BaseEstimator):  # type: ignore[misc]
    """Base of the transformers; a subclass says which texts it reads and which columns follow.

    Without scikit-learn's TransformerMixin, whose output containers know no lazy frames.
    """

    families: Iterable[str] | None
    features: Iterable[str] | None
    extra_features: Iterable[Feature]
    texts: TextFormat

    @abstractmethod
    def _text_columns(self) -> list[str] | None:
        """Name the columns of the frame to read, or ``None`` for all that hold text."""

    @abstractmethod
    def _planned(self, texts: tuple[str, ...]) -> FeatureColumns:
        """Plan the columns to compute of the frame's text columns."""

    def fit(self, X: Any, y: object = None) -> Self:
        """Note which columns hold the texts.

        Parameters
        ----------
        X : polars DataFrame or LazyFrame, pandas DataFrame, or texts
            Holds the text columns; no row of a lazy frame is read. Texts are a
            list, an array of one dimension or a Series.
        y : ignored

        Raises
        ------
        FrameError
            When `X` is no frame or lacks a text column.
        FeatureError
            When `families`, `features` or `extra_features` name what there is not.
        """
        if self.texts not in TEXT_FORMATS:
            raise FeatureError(f"texts is {self.texts!r}; it must be one of {TEXT_FORMATS}")
        frame = incoming(X, self._text_columns())
        planned = self._planned(frame.columns)
        if not planned.names:
            raise FeatureError("no column is left; widen families or features")
        planned.check_names()
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def transform(self, X: Any) -> Any:
        """Compute the features of the texts.

        Parameters
        ----------
        X : polars DataFrame or LazyFrame, pandas DataFrame, or texts
            Holds the text columns seen in `fit`; others are ignored.

        Returns
        -------
        Frame of the same kind (or the one chosen by `set_output`; polars for lists
        and arrays) with the columns
        of `get_feature_names_out`, one row for each of `X`, in the same order. A lazy
        frame stays lazy.

        Raises
        ------
        FrameError
            When `X` is no frame or lacks a text column.
        BattleError
            When ``texts="json_list"`` and a cell is no JSON list of texts.
        """
        check_is_fitted(self)
        frame = incoming(X, list(self.feature_names_in_))
        columns = self._planned(frame.inside)
        names = dict(zip(columns.texts, frame.inside, strict=True))
        if self.texts == "plain":
            turns = with_turns(frame.texts, names, "plain")
        else:
            roles = dict(zip(columns.texts, frame.columns, strict=True))
            origin = replace(frame.origin, columns=roles)
            row = pl.col(str(origin.identity))
            turns = with_turns(frame.numbered, names, self.texts, [row], origin)
        public = self._fitted_columns().names
        query = columns.compute(turns, keep=()).rename(
            dict(zip(columns.names, public, strict=True))
        )
        return outgoing(query, frame, self._container())

    def fit_transform(self, X: Any, y: object = None) -> Any:
        """Fit and transform the same frame."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, Any]:
        """Return the names of the computed columns, in order; `input_features` is ignored."""
        return np.array(self._fitted_columns().names, dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container that `transform` returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            The default gives back the kind of frame that came in; ``None`` changes nothing.

        Raises
        ------
        FeatureError
            For any other value.
        """
        if transform is None:
            return self
        if transform not in CONTAINERS:
            raise FeatureError(f"output {transform!r} is not one of {', '.join(CONTAINERS)}")
        # The attribute that scikit-learn's clone carries over.
        self._sklearn_output_config = {"transform": transform}
        return self

    def fingerprint(self) -> str:
        """Return a key of caches that changes when any computed value could."""
        columns = self._fitted_columns()
        return value_fingerprint([self.texts, list(self.feature_names_in_), columns.fingerprint()])

    def _fitted_columns(self) -> FeatureColumns:
        check_is_fitted(self)
        return self._planned(tuple(self.feature_names_in_))

    def _chosen(self) -> tuple[tuple[Feature, ...], list[str] | None, list[str] | None]:
        """Return what features there are, and the families and names to keep."""
        own = self.extra_features
        if not isinstance(own, Iterable) or isinstance(own, Iterator):
            raise FeatureError(f"extra_features is a list, not {type(own).__name__}")
        available = (*FEATURES, *own)
        return available, as_names(self.families), as_names(self.features)

    def _container(self) -> str:
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform")
        return str(chosen or sklearn.get_config()["transform_output"])

    def __sklearn_tags__(self) -> Any:
        # Not at the top: older releases of scikit-learn, which never call this, lack the class.
        from sklearn.utils import TransformerTags

        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = True
        return tags


def as_names(value: str | Iterable[str] | None) -> list[str] | None:
    """Return a list of names from a parameter that may also be one name, or none.

    Raises
    ------
    FeatureError
        For what is neither, or can be gone through once only.
    """
    if value is None:
        return None
    if not isinstance(value, Iterable) or isinstance(value, Iterator):
        raise FeatureError(f"names are given as a list, not as {type(value).__name__}")
    return [value] if isinstance(value, str) else list(value)
