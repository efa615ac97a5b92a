"""`TextEmbedder`: text columns in, vectors out, as a scikit-learn transformer.

Every text is encoded once: vectors are kept on disk by the content of the text
and the spec of the encoder (`featlab.vectors`), so the second run, the next fold
and the next project read them back without loading the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.utils.validation import check_is_fitted

from featlab.encoder.spec import MINILM, EncoderSpec
from featlab.errors import ConfigError, FeatureError
from featlab.files import value_fingerprint
from featlab.progress import ProgressCallback
from featlab.transformers.base import FeatureTransformer
from featlab.transformers.frames import incoming, inside_names, outgoing
from featlab.vectors import Mode
from featlab.vectors.passages import Conversations, Passages, Texts
from featlab.vectors.source import BATCH_SIZE, LoadEncoder, VectorColumn, VectorSource, row_chunks

Layout: TypeAlias = Literal["columns", "array"]

Read: TypeAlias = str | tuple[str, str]
"""A text column, or a column of prompts and one of responses that are read together."""


class TextEmbedder(FeatureTransformer):
    """Replace text columns by the vectors an encoder gives them.

    Parameters
    ----------
    columns : str, or sequence of str or (str, str), optional
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
    FrameError
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
    >>> frame = pl.DataFrame({"title": ["a red bird", "tax law"], "stars": [3, 5]})
    >>> embedder = TextEmbedder(columns=["title"])
    >>> embedder.fit_transform(frame).shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(
        self,
        columns: str | Sequence[Read] | None = None,
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

    def fit(self, X: Any, y: object = None) -> Self:
        """Choose the columns of a frame and learn how long a vector is; encode nothing."""
        if self.layout not in get_args(Layout):
            raise ConfigError(
                f"embedding: layout is {self.layout!r}, but must be one of columns, array"
            )
        self._source_: VectorSource | None = None
        given = [self.columns] if isinstance(self.columns, str) else self.columns
        chosen = None if given is None else [_checked(read) for read in given]
        if chosen == []:
            raise FeatureError("embedding: no column is named")
        needed = None if chosen is None else list(dict.fromkeys(chain(*map(_sides, chosen))))
        frame = incoming(X, needed)
        self.columns_: list[Read] = list(frame.columns) if chosen is None else chosen
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        self.dimension_ = self._source.dimension
        return self

    def transform(self, X: Any) -> Any:
        """Return the vectors of every row, in the order given, as the same kind of frame.

        `set_output` chooses another kind; a pandas frame keeps its index.
        """
        check_is_fitted(self)
        frame, container = incoming(X, list(self.feature_names_in_)), self._container()
        if isinstance(X, pl.LazyFrame) and container != "pandas":
            return frame.texts.map_batches(self._vectors, schema=self._schema)
        if self.layout == "array" and frame.leaves_in_pandas(container):
            raise ConfigError("embedding: pandas has no array columns; choose layout 'columns'")
        vectors = self._vectors(frame.texts.collect())
        return outgoing(vectors, frame, container)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """Return the names of the columns that `transform` makes."""
        check_is_fitted(self)
        return np.array(list(self._schema), dtype=object)

    def fingerprint(self) -> str:
        """Return a key for caches, of the encoder's spec, what is read and how it is laid out."""
        check_is_fitted(self)
        return value_fingerprint([self._source.spec.id, self.columns_, self.layout])

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        # A loaded encoder is no part of what was learned, and loads again by itself.
        return {**state, "_source_": None} if "_source_" in state else state

    @property
    def _source(self) -> VectorSource:
        if self._source_ is None:
            spec = MINILM if self.spec is None else self.spec
            passed = ("store", "mode", "device", "batch_size", "load_encoder", "on_progress")
            self._source_ = VectorSource(
                EncoderSpec(spec) if isinstance(spec, str) else spec,
                **{name: getattr(self, name) for name in passed},
            )
        return self._source_

    @property
    def _schema(self) -> dict[str, pl.DataType]:
        """Name and dtype of each column that comes out."""
        outputs = ["_".join(_sides(read)) for read in self.columns_]
        if self.layout == "array":
            return dict.fromkeys(outputs, pl.Array(pl.Float32, self.dimension_))
        return {
            f"{output}_{number}": pl.Float32()
            for output in outputs
            for number in range(self.dimension_)
        }

    def _vectors(self, texts: pl.DataFrame) -> pl.DataFrame:
        needed = list(self.feature_names_in_)
        column = dict(zip(needed, inside_names(len(needed)), strict=True))
        passages: list[Passages] = [
            Texts(texts[column[read]])
            if isinstance(read, str)
            else Conversations(texts[column[read[0]]], texts[column[read[1]]])
            for read in self.columns_
        ]
        columns = self._source.embed(*passages)
        read = (lambda column: [column.read()]) if self.layout == "array" else _transposed
        numbers = (values for column in columns for values in read(column))
        return pl.DataFrame(
            [
                pl.Series(name, values, dtype)
                for (name, dtype), values in zip(self._schema.items(), numbers, strict=True)
            ]
        )


def _transposed(column: VectorColumn) -> npt.NDArray[np.float32]:
    """Return a column's vectors, shape (dimension, n): a row becomes a Series uncopied."""
    numbers = np.empty((column.dimension, len(column)), np.float32)
    for first, last in row_chunks(len(column)):
        numbers[:, first:last] = column.read(first, last).T
    return numbers


def _checked(read: Any) -> Read:
    # pandas' columns may be called by numbers.
    if isinstance(read, str | int):
        return str(read)
    if isinstance(read, list | tuple) and len(read) == 2:
        prompt, response = read
        if isinstance(prompt, str | int) and isinstance(response, str | int):
            return (str(prompt), str(response))
    raise FeatureError(
        f"embedding: {read!r} is neither a column's name nor a pair of names (prompt, response)"
    )


def _sides(read: Read) -> tuple[str, ...]:
    return (read,) if isinstance(read, str) else read
