"""The embedding signal: how near the responses are to prompt and each other, and how they differ.

A frozen encoder reads the prompt by itself, the prompt together with each
response, and each response by itself. Their cosines and norms, and the
principal axes of the difference between the readings of the two sides, are the
signal's columns; only the axes are learned, without labels.

Axes learned on different folds are not the same: beyond the first five they
hardly agree on the arena's battles, and even those come with either sign. A
column stacked from several folds would mix them and the mean over fold models
would cancel them out. So every fold's axes are rotated, inside the space they
span, onto those of the fold fitted first (`aligned_signals`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError, ConfigError
from featlab.files import atomic_path, read_json, write_json
from featlab.parity import Parity
from featlab.vectors.passages import Conversations, Texts
from featlab.vectors.source import VectorColumn, VectorSource, row_chunks, shared_source

Floats: TypeAlias = npt.NDArray[np.float64]

DIFFERENCE_AXES = 16
PROMPT_AXES = 4
FORMAT = 2
STATE = "embedding.safetensors"
DESCRIPTION = "embedding.json"

READ_TOGETHER: dict[str, Parity] = {
    "prompt__embedding_norm": Parity.EVEN,
    "response_a__embedding_reading_cosine": Parity.SIDE,
    "response_b__embedding_reading_cosine": Parity.SIDE,
    "embedding_reading_cosine__difference": Parity.ODD,
    "embedding_reading_norm__difference": Parity.ODD,
    "embedding_reading_norm__sum": Parity.EVEN,
    "responses__embedding_reading_cosine": Parity.EVEN,
}
"""Columns of the prompt and the *readings*: each response read together with the prompt."""

READ_ALONE: dict[str, Parity] = {
    "response_a__embedding_cosine": Parity.SIDE,
    "response_b__embedding_cosine": Parity.SIDE,
    "embedding_cosine__difference": Parity.ODD,
    "embedding_norm__difference": Parity.ODD,
    "embedding_norm__sum": Parity.EVEN,
    "responses__embedding_cosine": Parity.EVEN,
}
"""Columns of each response read by itself."""


@dataclass(frozen=True)
class _Battles:
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
        """The columns of `READ_TOGETHER` and, where they were read alone, of `READ_ALONE`."""
        together = [_norm(self.prompt), *self._compared(self.reading_a, self.reading_b)]
        if self.alone_a is None or self.alone_b is None:
            return together
        return together + self._compared(self.alone_a, self.alone_b)

    def _compared(self, side_a: Floats, side_b: Floats) -> list[Floats]:
        cosine_a, cosine_b = _cosine(self.prompt, side_a), _cosine(self.prompt, side_b)
        norm_a, norm_b = _norm(side_a), _norm(side_b)
        return [
            cosine_a,
            cosine_b,
            cosine_a - cosine_b,
            norm_a - norm_b,
            norm_a + norm_b,
            _cosine(side_a, side_b),
        ]


class EmbeddingSignal:
    """Columns of a battle from a frozen encoder's vectors.

    Parameters
    ----------
    source : VectorSource
        The encoder and its store.
    difference_axes : int, default 16
        Principal axes of the difference between the two readings' directions:
        columns ``embedding_difference__{i}``, odd. They are found by an
        eigendecomposition of the covariance of both orders of every battle,
        whose mean is zero.
    prompt_axes : int, default 4
        Principal axes of the prompt's direction: columns
        ``prompt__embedding_{i}``, even.
    responses_alone : bool, default True
        Also read each response without its prompt, which doubles what is to be
        encoded.
    whole_vectors : bool, default False
        Also hand out the whole difference, unrotated: columns
        ``embedding_vector__{i}``, odd, one a dimension of the encoder.
    like : EmbeddingSignal, optional
        A signal, fitted by the time this one is, onto whose axes this one's
        are rotated.

    Attributes
    ----------
    difference_axes_ : float64 array of shape (dimension, difference axes)
    prompt_axes_ : float64 array of shape (dimension, prompt axes)
    prompt_mean_ : float64 array of shape (dimension,)

    Raises
    ------
    StoreError, WeightsError
        As `featlab.vectors.source.VectorSource.embed` does.

    Examples
    --------
    >>> from featlab.encoder import MINILM
    >>> signal = EmbeddingSignal(VectorSource(MINILM, store="embeddings"))
    >>> signal.fit(battles).transform(battles).shape  # doctest: +SKIP
    (1983, 33)
    """

    def __init__(
        self,
        source: VectorSource,
        difference_axes: int = DIFFERENCE_AXES,
        prompt_axes: int = PROMPT_AXES,
        responses_alone: bool = True,
        like: EmbeddingSignal | None = None,
        *,
        whole_vectors: bool = False,
    ) -> None:
        if min(difference_axes, prompt_axes) < 0:
            raise ConfigError("embedding signal: a number of axes is negative")
        self.source = source
        self.difference_axes = difference_axes
        self.prompt_axes = prompt_axes
        self.responses_alone = responses_alone
        self.like = like
        self.whole_vectors = whole_vectors

    def fit(self, battles: pl.DataFrame) -> Self:
        """Find the axes.

        Parameters
        ----------
        battles : DataFrame
            Canonical battles; labels and names are not read.
        """
        columns = self._embed(battles)
        differences, prompts = (_Covariance(columns[0].dimension) for _ in range(2))
        with _one_blas_thread():
            for chunk in _read(columns):
                differences.add(chunk.difference)
                prompts.add(_unit(chunk.prompt))
            self._find_axes(differences, prompts)
        return self

    def _find_axes(self, differences: _Covariance, prompts: _Covariance) -> None:
        like = self.like
        self.prompt_mean_: Floats = prompts.mean
        self.difference_axes_: Floats = _rotated(
            # Both orders together have the mean zero, so nothing is subtracted.
            _principal_axes(differences.second_moment, self.difference_axes),
            like.difference_axes_ if like else None,
        )
        self.prompt_axes_: Floats = _rotated(
            _principal_axes(
                prompts.second_moment - np.outer(prompts.mean, prompts.mean), self.prompt_axes
            ),
            like.prompt_axes_ if like else None,
        )

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        """The signal's columns, Float32, one row a battle in the order given.

        Transforming the exchanged battles gives exactly the exchanged columns.
        """
        parity = self.parity()
        columns = np.empty((len(parity), len(battles)), np.float32)
        first = 0
        read = _read(self._embed(battles))
        with _one_blas_thread():
            for chunk in read:
                block = columns[:, first : first + len(chunk.prompt)]
                scalars = chunk.scalars()
                prompt = len(scalars) + self.difference_axes_.shape[1]
                vector = prompt + self.prompt_axes_.shape[1]
                difference = chunk.difference
                block[: len(scalars)] = scalars
                block[len(scalars) : prompt] = (difference @ self.difference_axes_).T
                block[prompt:vector] = (
                    (_unit(chunk.prompt) - self.prompt_mean_) @ self.prompt_axes_
                ).T
                if self.whole_vectors:
                    block[vector:] = difference.T
                first += len(chunk.prompt)
        return pl.DataFrame(
            [pl.Series(name, values) for name, values in zip(parity, columns, strict=True)]
        )

    def parity(self) -> dict[str, Parity]:
        """The parity of every column; known once the signal is fitted."""
        dimension, differences = self.difference_axes_.shape
        prompts = self.prompt_axes_.shape[1]
        return {
            **READ_TOGETHER,
            **(READ_ALONE if self.responses_alone else {}),
            **{f"embedding_difference__{axis}": Parity.ODD for axis in range(differences)},
            **{f"prompt__embedding_{axis}": Parity.EVEN for axis in range(prompts)},
            **(
                {f"embedding_vector__{axis}": Parity.ODD for axis in range(dimension)}
                if self.whole_vectors
                else {}
            ),
        }

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """The names of the columns, in order."""
        return np.array(list(self.parity()), dtype=object)

    def save(self, folder: Path) -> None:
        """Write the fitted axes as safetensors, and as JSON the spec they belong to."""
        from safetensors.numpy import save_file

        state = {
            "difference_axes": self.difference_axes_,
            "prompt_axes": self.prompt_axes_,
            "prompt_mean": self.prompt_mean_,
        }
        with atomic_path(folder / STATE) as path:
            save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, path)
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "encoder": self.source.spec.to_dict(),
                "responses_alone": self.responses_alone,
                "whole_vectors": self.whole_vectors,
            },
        )

    @classmethod
    def load(cls, folder: Path, source: VectorSource | None = None) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        folder : Path
        source : VectorSource, optional
            Where vectors come from. By default the encoder that was used, with
            the default store; signals loaded so share one. A source of the
            same encoder may find its model elsewhere (a folder instead of the
            hub), but must read as the signal was fitted to read.

        Raises
        ------
        BundleError
            When the folder's content is no embedding signal.
        ConfigError
            When `source` reads otherwise than the signal was fitted to.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            description = read_json(folder / DESCRIPTION)
            if description["format"] != FORMAT:
                raise BundleError(
                    f"{folder / DESCRIPTION}: has format {description['format']}, "
                    f"this version reads {FORMAT}"
                )
            spec = EncoderSpec.from_dict(description["encoder"])
            state = load_file(folder / STATE)
            axes, prompt_axes = state["difference_axes"], state["prompt_axes"]
            mean, alone = state["prompt_mean"], bool(description["responses_alone"])
            whole = bool(description["whole_vectors"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder}: holds no embedding signal: {error}") from error
        if source is None:
            source = shared_source(spec)
        elif _reading(source.spec) != _reading(spec):
            raise ConfigError(
                f"{folder}: was fitted on vectors of {_reading(spec)}, but the source given "
                f"reads with {_reading(source.spec)}"
            )
        signal = cls(source, axes.shape[1], prompt_axes.shape[1], alone, whole_vectors=whole)
        signal.difference_axes_, signal.prompt_axes_, signal.prompt_mean_ = axes, prompt_axes, mean
        return signal

    def _embed(self, battles: pl.DataFrame) -> list[VectorColumn]:
        prompt = battles["prompt"]
        responses = [battles["response_a"], battles["response_b"]]
        return self.source.embed(
            Texts(prompt),
            *(Conversations(prompt, response) for response in responses),
            *(Texts(response) for response in responses if self.responses_alone),
        )


def aligned_signals(
    source: VectorSource,
    difference_axes: int = DIFFERENCE_AXES,
    prompt_axes: int = PROMPT_AXES,
    responses_alone: bool = True,
    *,
    whole_vectors: bool = False,
) -> Callable[[int], EmbeddingSignal]:
    """What makes one unfitted signal a fold, all on the axes of the one made first.

    The signal made first must be the one fitted first.

    Examples
    --------
    >>> from featlab.encoder import MINILM
    >>> make = aligned_signals(VectorSource(MINILM, store="embeddings"))
    >>> first, second = make(0), make(1)
    >>> first.like is None, second.like is first
    (True, True)
    """
    made: list[EmbeddingSignal] = []

    def make(fold: int) -> EmbeddingSignal:
        like = made[0] if made else None
        made.append(
            EmbeddingSignal(
                source,
                difference_axes,
                prompt_axes,
                responses_alone,
                like,
                whole_vectors=whole_vectors,
            )
        )
        return made[-1]

    return make


def _read(columns: Sequence[VectorColumn]) -> Iterator[_Battles]:
    for first, last in row_chunks(len(columns[0])):
        yield _Battles(*(column.read(first, last).astype(np.float64) for column in columns))


class _Covariance:
    """Mean and uncentred second moment of rows that come in chunks."""

    def __init__(self, dimension: int) -> None:
        self.rows = 0
        self.total = np.zeros(dimension)
        self.products = np.zeros((dimension, dimension))

    def add(self, rows: Floats) -> None:
        self.rows += len(rows)
        self.total += rows.sum(axis=0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> Floats:
        mean: Floats = self.total / max(self.rows, 1)
        return mean

    @property
    def second_moment(self) -> Floats:
        moment: Floats = self.products / max(self.rows, 1)
        return moment


def _principal_axes(covariance: Floats, count: int) -> Floats:
    """Its leading eigenvectors, shape (dimension, count), largest loading positive."""
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, :count]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    oriented: Floats = vectors * signs
    return oriented


def _rotated(axes: Floats, onto: Floats | None) -> Floats:
    """The orthonormal basis of the same space that is nearest to another one (Procrustes)."""
    if onto is None or not axes.shape[1]:
        return axes
    left, _, right = np.linalg.svd(axes.T @ onto)
    rotated: Floats = axes @ (left @ right)
    return rotated


def _one_blas_thread() -> AbstractContextManager[object]:
    # These matrices are small: a second thread gains little, and on a busy machine the two wait
    # for each other a hundred times as long as they compute.
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


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


def _reading(spec: EncoderSpec) -> dict[str, object]:
    fields = spec.to_dict()
    return {name: fields[name] for name in ("max_tokens", "pooling", "truncation")}
