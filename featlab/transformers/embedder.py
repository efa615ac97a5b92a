"""`TextEmbedder`: text columns in, vectors out, as a scikit-learn transformer.

Every text is encoded once: vectors are kept on disk by the content of the text
and the spec of the encoder (`featlab.vectors`), so the second run, the next fold
and the next project read them back without loading the encoder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featlab.encoder.spec import MINILM, EncoderSpec
from featlab.errors import ConfigError, FeatureError
from featlab.files import value_fingerprint
from featlab.progress import ProgressCallback
from featlab.vectors import Mode
from featlab.vectors.passages import Conversations, Passages, Texts
from featlab.vectors.source import BATCH_SIZE, LoadEncoder, VectorColumn, VectorSource, row_chunks

if TYPE_CHECKING:
    import pandas

    AnyFrame: TypeAlias = pl.DataFrame | pl.LazyFrame | pandas.DataFrame

Layout: TypeAlias = Literal["columns", "array"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
OUTPUTS = ("default", "pandas", "polars")

Read: TypeAlias = str | tuple[str, str]
"""A text column, or a column of prompts and one of responses that are read together."""


class TextEmbedder(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg, misc]
    """Replace text columns by the vectors an encoder gives them.

    Parameters
    ----------
    columns : sequence of str or (str, str), optional
        What to read: a text column by itself, or a pair (prompt, response) as
        one sequence. ``None`` takes every text column of the frame given to
        `fit`. Text is String, Categorical, Enum, or List(String), whose
        entries are turns; a null counts as the empty text.
    spec : EncoderSpec or str, optional
        The encoder, or the name or folder of its model. ``None`` is
        all-MiniLM-L6-v2, which needs no hub.
    store : Path or str, optional
        Root of the store; by default `featlab.vectors.source.default_store`.
    mode : {"auto", "require", "off"}
        ``"auto"`` encodes and stores what is missing, ``"require"`` fails if
        anything is missing and so never needs an encoder, ``"off"`` encodes
        everything every time and touches no file.
    layout : {"columns", "array"}
        One Float32 column a number, named ``{column}_{i}`` (``{prompt}_{response}_{i}``
        for a pair), or one column of Array(Float32, dimension) a text column,
        under its own name.
    device : str
        Where to encode: ``"auto"``, ``"cpu"``, ``"cuda"``.
    batch_size : int
        Texts encoded between two writes to the store: what a kill costs.
    load_encoder : callable of (EncoderSpec, device), optional
        Loads the encoder, if not `featlab.encoder.load_encoder`.
    on_progress : callable of featlab.progress.Progress, optional
        Called after every batch; by default a line is logged now and then.

    Attributes
    ----------
    columns_ : list of str or (str, str)
        What is read.
    dimension_ : int
        Numbers in a vector.
    feature_names_in_ : array of str
        The columns that are needed.

    Raises
    ------
    FeatureError
        When a column is missing or is no text.
    StoreError
        When vectors are required and absent, or the store is damaged.
    WeightsError
        When something must be encoded and the weights are not there.

    Notes
    -----
    Vectors are rounded to float16 by the store, also on the run that encodes
    them and also when `mode` is ``"off"``, so that every run sees the same
    numbers. They are held in memory once, as the columns returned.

    A LazyFrame stays lazy: its texts are encoded when it is collected.

    Examples
    --------
    >>> from featlab.transformers.embedder import TextEmbedder
    >>> frame = pl.DataFrame({"title": ["a red bird", "tax law"], "stars": [3, 5]})
    >>> embedder = TextEmbedder(columns=["title"])
    >>> embedder.fit_transform(frame).shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(
        self,
        columns: Sequence[Read] | None = None,
        *,
        spec: EncoderSpec | str | None = None,
        store: Path | str | None = None,
        mode: Mode = "auto",
        layout: Layout = "columns",
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        load_encoder: LoadEncoder | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self.columns = columns
        self.spec = spec
        self.store = store
        self.mode = mode
        self.layout = layout
        self.device = device
        self.batch_size = batch_size
        self.load_encoder = load_encoder
        self.on_progress = on_progress

    def fit(self, X: AnyFrame, y: object = None) -> Self:
        """Choose the columns and learn how long a vector is; encodes nothing.

        Parameters
        ----------
        X : polars DataFrame or LazyFrame, or pandas DataFrame
        y : ignored
        """
        if self.layout not in LAYOUTS:
            raise ConfigError(
                f"embedding: layout is {self.layout!r}, but must be one of {', '.join(LAYOUTS)}"
            )
        self._source_: VectorSource | None = None
        schema = _text_schema(X)
        if self.columns is None:
            self.columns_: list[Read] = [name for name, dtype in schema.items() if _is_text(dtype)]
        else:
            self.columns_ = [_checked(read) for read in self.columns]
        if not self.columns_:
            raise FeatureError("embedding: the frame has no text column")
        self.feature_names_in_ = np.array(self._needed, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        _check_present(schema, self._needed)
        self.dimension_ = self._source.dimension
        return self

    def transform(self, X: AnyFrame) -> AnyFrame:
        """The vectors of every row.

        Parameters
        ----------
        X : polars DataFrame or LazyFrame, or pandas DataFrame

        Returns
        -------
        The same kind of frame (see `set_output`) with the vectors and nothing
        else, rows in the order given; a pandas frame keeps its index.
        """
        check_is_fitted(self)
        output = getattr(self, "_sklearn_output_config", {}).get(
            "transform", get_config()["transform_output"]
        )
        if isinstance(X, pl.LazyFrame) and output != "pandas":
            _check_present(X.collect_schema(), self._needed)
            return X.select(self._needed).map_batches(self._vectors, schema=self._schema)
        vectors = self._vectors(_texts(X, self._needed))
        if output == "pandas" or (output == "default" and _is_pandas(X)):
            in_pandas: pandas.DataFrame = _to_pandas(vectors, getattr(X, "index", None))
            return in_pandas
        return vectors

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """The names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        array of str
        """
        check_is_fitted(self)
        return np.array(list(self._schema), dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the kind of frame that `transform` returns.

        Parameters
        ----------
        transform : {"default", "polars", "pandas"}, optional
            ``"default"`` is the kind that was given. A LazyFrame stays lazy
            unless pandas is asked for.
        """
        if transform is not None:
            if transform not in OUTPUTS:
                raise ConfigError(
                    f"embedding: output is {transform!r}, but must be one of {', '.join(OUTPUTS)}"
                )
            self._sklearn_output_config = {"transform": transform}
        return self

    def fingerprint(self) -> str:
        """Changes when any vector could: the encoder's spec, what is read, how it is laid out.

        Keys caches of computed columns.
        """
        check_is_fitted(self)
        return value_fingerprint([self._source.spec.id, self.columns_, self.layout])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        # A loaded encoder is no part of what was learned, and loads again by itself.
        return {**state, "_source_": None} if "_source_" in state else state

    @property
    def _source(self) -> VectorSource:
        if self._source_ is None:
            spec = MINILM if self.spec is None else self.spec
            self._source_ = VectorSource(
                EncoderSpec(spec) if isinstance(spec, str) else spec,
                self.store,
                self.mode,
                self.device,
                self.batch_size,
                self.load_encoder,
                self.on_progress,
            )
        return self._source_

    @property
    def _needed(self) -> list[str]:
        names = (
            name for read in self.columns_ for name in ([read] if isinstance(read, str) else read)
        )
        return list(dict.fromkeys(names))

    @property
    def _schema(self) -> dict[str, pl.DataType]:
        """Name and dtype of each column that comes out."""
        outputs = [read if isinstance(read, str) else "_".join(read) for read in self.columns_]
        if self.layout == "array":
            return dict.fromkeys(outputs, pl.Array(pl.Float32, self.dimension_))
        return {
            f"{output}_{number}": pl.Float32()
            for output in outputs
            for number in range(self.dimension_)
        }

    def _vectors(self, texts: pl.DataFrame) -> pl.DataFrame:
        passages: list[Passages] = [
            Texts(texts[read])
            if isinstance(read, str)
            else Conversations(texts[read[0]], texts[read[1]])
            for read in self.columns_
        ]
        columns = self._source.embed(*passages)
        names = iter(self._schema)
        if self.layout == "array":
            return pl.DataFrame([_array_series(next(names), column) for column in columns])
        return pl.DataFrame(
            [
                pl.Series(next(names), numbers)
                for column in columns
                for numbers in _transposed(column)
            ]
        )


def _transposed(column: VectorColumn) -> npt.NDArray[np.float32]:
    """The vectors of a column, float32 of shape (dimension, n): a row becomes a Series uncopied."""
    numbers = np.empty((column.dimension, len(column)), np.float32)
    for first, last in row_chunks(len(column)):
        numbers[:, first:last] = column.read(first, last).T
    return numbers


def _array_series(name: str, column: VectorColumn) -> pl.Series:
    return pl.Series(name, column.read(), dtype=pl.Array(pl.Float32, column.dimension))


def _checked(read: Any) -> Read:
    if isinstance(read, str):
        return read
    if isinstance(read, list | tuple) and len(read) == 2 and all(isinstance(n, str) for n in read):
        return (read[0], read[1])
    raise FeatureError(
        f"embedding: {read!r} is neither a column's name nor a pair of names (prompt, response)"
    )


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.List(pl.String)) or isinstance(dtype, pl.Categorical | pl.Enum)


def _check_present(schema: pl.Schema, needed: Sequence[str]) -> None:
    if absent := [name for name in needed if name not in schema]:
        raise FeatureError(
            f"embedding: the frame has no column {', '.join(map(repr, absent))}; "
            f"it has {', '.join(map(repr, schema)) or 'none'}"
        )


def _is_pandas(frame: object) -> bool:
    # A pandas frame can only be here if its maker has imported pandas.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(frame, pandas.DataFrame)


def _text_schema(frame: Any) -> pl.Schema:
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.collect_schema()
    if _is_pandas(frame):
        named = [name for name in frame.columns if isinstance(name, str)]
        first = {name: frame[name][frame[name].notna()].head(1) for name in named}
        return pl.Schema({name: _from_pandas(cell).dtype for name, cell in first.items()})
    raise FeatureError(
        f"embedding: a polars or pandas frame is needed, and this is a {type(frame).__name__}"
    )


def _texts(frame: Any, needed: Sequence[str]) -> pl.DataFrame:
    _check_present(_text_schema(frame), needed)
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.lazy().select(needed).collect()
    return pl.DataFrame([_from_pandas(frame[name]) for name in needed])


def _from_pandas(column: Any) -> pl.Series:
    if column.dtype.kind in "biufcmM":
        return pl.Series(column.name, [], pl.Int64)
    cells = column.astype(object)
    try:
        return pl.Series(column.name, cells.where(cells.notna(), None).to_list())
    except TypeError as error:
        raise FeatureError(f"embedding: column '{column.name}' mixes text with others") from error


def _to_pandas(vectors: pl.DataFrame, index: Any) -> Any:
    if any(isinstance(dtype, pl.Array) for dtype in vectors.dtypes):
        raise ConfigError("embedding: pandas has no array columns; choose layout 'columns'")
    pandas = import_module("pandas")
    columns = {series.name: series.to_numpy() for series in vectors}
    return pandas.DataFrame(columns, index=index, copy=False)
