"""The embedding signal: how near the responses are to prompt and each other, and how they differ.

A frozen encoder reads the prompt by itself, the prompt together with each
response, and each response by itself. Their cosines and norms, and the
principal axes of the difference between the readings of the two sides, are the
signal's columns. The axes are found once, from all battles that are prepared:
no label is read for them, so nothing of a held-out outcome is in them, and the
columns of every fold and the mean over folds mean the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featlab.columns import Column, Kind
from featlab.encoder.spec import EncoderSpec
from featlab.errors import ConfigError
from featlab.parity import Parity
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Cost, Need, Signal
from featlab.signals.state import State
from featlab.threads import one_blas_thread
from featlab.vectors.passages import Conversations, Texts
from featlab.vectors.source import VectorColumn, VectorSource, row_chunks, shared_source

Floats: TypeAlias = npt.NDArray[np.float64]
Described: TypeAlias = tuple[str, Parity, str]

FAMILY = "embedding signal"
DIFFERENCE_AXES = 16
SAMPLE = 24
"""Battles that are encoded to tell how long all of them take."""
PROMPT_AXES = 4

DIFFERENCE = "the difference a - b of the directions of the two readings"
PROMPT = "the prompt's direction"


def _compared(middle: str, read: str) -> tuple[Described, ...]:
    # What `_comparison` computes.
    return (
        (f"response_a__{middle}_cosine", Parity.SIDE, f"cosine of the prompt and a {read}"),
        (f"response_b__{middle}_cosine", Parity.SIDE, f"cosine of the prompt and b {read}"),
        (f"{middle}_cosine__difference", Parity.ODD, f"a - b of: cosine of the prompt, {read}"),
        (f"{middle}_norm__difference", Parity.ODD, f"a - b of: length of the vector, {read}"),
        (f"{middle}_norm__sum", Parity.EVEN, f"a + b of: length of the vector, {read}"),
        (f"responses__{middle}_cosine", Parity.EVEN, f"cosine of a and b, {read}"),
    )


READ_TOGETHER: tuple[Described, ...] = (
    ("prompt__embedding_norm", Parity.EVEN, "length of the prompt's vector"),
    *_compared("embedding_reading", "read together with the prompt"),
)
"""Columns of the prompt and the *readings*: each response read together with the prompt."""

READ_ALONE = _compared("embedding", "read alone")
"""Columns of each response read by itself."""


@dataclass(frozen=True)
class Axes:
    """Principal axes of many battles, shape (dimension, axes), the leading one first.

    Those of the difference are of both orders of every battle, whose mean is zero.
    """

    difference: Floats
    prompt: Floats
    prompt_mean: Floats


@dataclass(frozen=True)
class _Vectors:
    """The vectors of some battles, float64 of shape (n, dimension) each."""

    prompt: Floats
    reading_a: Floats
    reading_b: Floats
    alone_a: Floats | None = None
    alone_b: Floats | None = None

    @property
    def difference(self) -> Floats:
        """Between the directions of the two readings; exactly odd."""
        return _unit(self.reading_a) - _unit(self.reading_b)

    def scalars(self) -> list[Floats]:
        """Compute the columns of `READ_TOGETHER` and, where they were read alone, `READ_ALONE`."""
        together = [_norm(self.prompt), *self._comparison(self.reading_a, self.reading_b)]
        if self.alone_a is None or self.alone_b is None:
            return together
        return together + self._comparison(self.alone_a, self.alone_b)

    def _comparison(self, side_a: Floats, side_b: Floats) -> list[Floats]:
        cosine_a, cosine_b = _cosine(self.prompt, side_a), _cosine(self.prompt, side_b)
        norm_a, norm_b = _norm(side_a), _norm(side_b)
        between = _cosine(side_a, side_b)
        return [cosine_a, cosine_b, cosine_a - cosine_b, norm_a - norm_b, norm_a + norm_b, between]


class EmbeddingSignal(Signal[pl.DataFrame]):
    """Columns of a battle from a frozen encoder's vectors.

    Parameters
    ----------
    source : VectorSource
        The encoder and its store.
    difference_axes : int, default 16
        Principal axes of the difference between the readings: columns
        ``embedding_difference__{i}``, odd.
    prompt_axes : int, default 4
        Principal axes of the prompt: columns ``prompt__embedding_{i}``, even.
    responses_alone : bool, default True
        Also read each response without its prompt, which doubles what is to be
        encoded.
    whole_vectors : bool, default False
        Also hand out the whole difference, unrotated: columns
        ``embedding_vector__{i}``, odd, one a dimension of the encoder.

    Attributes
    ----------
    axes : Axes or None
        Found by the first `prepare`, and kept.

    Examples
    --------
    >>> from featlab.encoder import MINILM
    >>> signal = EmbeddingSignal(VectorSource(MINILM, store="embeddings"))
    >>> signal.prepare(battles).shape  # doctest: +SKIP
    (1983, 33)
    """

    name = "embedding"
    needs = frozenset({Need.ENCODER})
    cost = Cost.NOTHING
    # Another machine may compute in another number format.
    probe_tolerance = 0.02

    def __init__(
        self,
        source: VectorSource,
        difference_axes: int = DIFFERENCE_AXES,
        prompt_axes: int = PROMPT_AXES,
        *,
        responses_alone: bool = True,
        whole_vectors: bool = False,
    ) -> None:
        if min(difference_axes, prompt_axes) < 0:
            raise ConfigError("embedding signal: a number of axes is negative")
        self.source = source
        self.difference_axes = difference_axes
        self.prompt_axes = prompt_axes
        self.responses_alone = responses_alone
        self.whole_vectors = whole_vectors
        self.axes: Axes | None = None
        self._dimension: int | None = None

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the signal of the run's encoder, whole vectors among its columns."""
        if context.encoder is None:
            raise ConfigError("embedding signal: it needs an encoder; choose a preset with one")
        return cls(VectorSource(context.encoder, context.store), whole_vectors=True)

    @property
    def dimension(self) -> int:
        """Numbers in a vector; asked of the source once."""
        if self._dimension is None:
            self._dimension = self.source.dimension
        return self._dimension

    def columns(self) -> tuple[Column, ...]:
        """Return every column in order: scalars, then axes, then the whole vector."""
        dimension, odd = self.dimension, Parity.ODD
        described = [*READ_TOGETHER, *(READ_ALONE if self.responses_alone else ())]
        described += [
            (f"embedding_difference__{i}", odd, f"axis {i} of {DIFFERENCE}")
            for i in range(min(self.difference_axes, dimension))
        ]
        described += [
            (f"prompt__embedding_{i}", Parity.EVEN, f"axis {i} of {PROMPT}")
            for i in range(min(self.prompt_axes, dimension))
        ]
        columns = [Column(name, parity, FAMILY, meaning) for name, parity, meaning in described]
        for i in range(dimension if self.whole_vectors else 0):
            meaning = f"coordinate {i} of {DIFFERENCE}"
            columns.append(Column(f"embedding_vector__{i}", odd, FAMILY, meaning, Kind.VECTOR))
        return tuple(columns)

    def prepare(self, battles: pl.LazyFrame) -> pl.DataFrame:
        """Encode the texts and compute the columns, Float32; find the axes if there are none.

        Preparing the exchanged battles gives exactly the exchanged columns.
        """
        texts = battles.select("prompt", "response_a", "response_b").collect()
        responses = (texts["response_a"], texts["response_b"])
        read = self.source.embed(
            Texts(texts["prompt"]),
            *(Conversations(texts["prompt"], response) for response in responses),
            *(Texts(response) for response in responses if self.responses_alone),
        )
        with one_blas_thread():
            if self.axes is None:
                self.axes = _principal(read, self.difference_axes, self.prompt_axes)
            return self._computed(read, self.axes)

    def _computed(self, read: Sequence[VectorColumn], axes: Axes) -> pl.DataFrame:
        columns = self.columns()
        values = np.empty((len(columns), len(read[0])), np.float32)
        for (first, last), chunk in zip(row_chunks(len(read[0])), _chunks(read), strict=True):
            difference = chunk.difference
            values[:, first:last] = np.vstack(
                [
                    *chunk.scalars(),
                    (difference @ axes.difference).T,
                    ((_unit(chunk.prompt) - axes.prompt_mean) @ axes.prompt).T,
                    *([difference.T] if self.whole_vectors else []),
                ]
            )
        return pl.DataFrame(
            [pl.Series(column.name, row) for column, row in zip(columns, values, strict=True)]
        )

    def fit(self, prepared: pl.DataFrame, outcomes: Outcomes, rows: Rows) -> Self:
        """Return itself: what there is to find, `prepare` has found."""
        return self

    def transform(self, prepared: pl.DataFrame, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all."""
        return prepared if rows is None else prepared[rows]

    def state(self) -> State:
        """Return the axes, the encoder's spec, and how it reads."""
        if self.axes is None:
            raise ConfigError("embedding signal: it has no axes yet; prepare battles first")
        return State(
            arrays=vars(self.axes),
            values={
                "encoder": self.source.spec.to_dict(),
                "responses_alone": self.responses_alone,
                "whole_vectors": self.whole_vectors,
                "dimension": self.dimension,
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the signal of a state, which reads by the default store.

        Of the state's spec nothing but weights is ever loaded
        (`featlab.encoder.weights.find_weights`), and signals of one spec share
        their encoder.
        """
        axes = Axes(**state.arrays)
        dimension = int(state.values["dimension"])
        if any(len(array) != dimension for array in state.arrays.values()):
            raise ValueError(f"its axes are not of dimension {dimension}")
        signal = cls(
            shared_source(EncoderSpec.from_dict(state.values["encoder"])),
            axes.difference.shape[1],
            axes.prompt.shape[1],
            responses_alone=bool(state.values["responses_alone"]),
            whole_vectors=bool(state.values["whole_vectors"]),
        )
        signal.axes, signal._dimension = axes, dimension
        return signal

    def expected_seconds(self, battles: pl.LazyFrame, outcomes: Outcomes, folds: Rows) -> float:
        """Return how long encoding would take were no text in the store yet, from a sample."""
        texts = battles.select("prompt", "response_a", "response_b")
        size = pl.sum_horizontal(pl.all().list.join("").str.len_bytes()).alias("size")
        sizes = texts.select(size).collect()["size"].to_numpy()
        rows = np.linspace(0, len(sizes) - 1, min(SAMPLE, len(sizes))).astype(np.int64)
        sample = texts.collect()[np.unique(rows)]
        timed = EmbeddingSignal(
            VectorSource(self.source.spec, mode="off"), responses_alone=self.responses_alone
        )
        timed.prepare(sample.head(1).lazy())
        start = time.perf_counter()
        timed.prepare(sample.lazy())
        pace = float(sizes[np.unique(rows)].sum()) / (time.perf_counter() - start)
        return float(sizes.sum()) / pace

    def recipe(self) -> dict[str, Any]:
        """Return the encoder's id and the settings."""
        names = ("difference_axes", "prompt_axes", "responses_alone", "whole_vectors")
        return {"encoder": self.source.spec.id, **{name: getattr(self, name) for name in names}}


def _chunks(read: Sequence[VectorColumn]) -> Iterator[_Vectors]:
    for first, last in row_chunks(len(read[0])):
        yield _Vectors(*(column.read(first, last).astype(np.float64) for column in read))


def _principal(read: Sequence[VectorColumn], difference_axes: int, prompt_axes: int) -> Axes:
    size = read[0].dimension
    total, differences, prompts = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    for chunk in _chunks(read):
        difference, prompt = chunk.difference, _unit(chunk.prompt)
        differences += difference.T @ difference
        prompts += prompt.T @ prompt
        total += prompt.sum(axis=0)
    count = max(len(read[0]), 1)
    mean = total / count
    return Axes(
        # Both orders together have the mean zero, so nothing is subtracted.
        _leading(differences / count, difference_axes),
        _leading(prompts / count - np.outer(mean, mean), prompt_axes),
        mean,
    )


def _leading(covariance: Floats, count: int) -> Floats:
    # Its leading eigenvectors, shape (dimension, count), the largest loading positive.
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    largest = np.abs(vectors).argmax(axis=0)
    oriented: Floats = vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return oriented


def _norm(vectors: Floats) -> Floats:
    norms: Floats = np.sqrt((vectors * vectors).sum(axis=1))
    return norms


def _unit(vectors: Floats) -> Floats:
    # A vector of zeros has no direction and stays zero.
    units: Floats = vectors / np.maximum(_norm(vectors), np.finfo(np.float32).tiny)[:, None]
    return units


def _cosine(first: Floats, second: Floats) -> Floats:
    cosines: Floats = (_unit(first) * _unit(second)).sum(axis=1)
    return cosines
