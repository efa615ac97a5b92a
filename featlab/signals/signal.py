"""What a signal is: a block of columns made for every battle, behind one interface.

A signal prepares what needs no outcome once for all battles (hashed n-grams,
vectors, tokens), is fitted once a fold on rows of what was prepared, and is
transformed on others. What it has learned is arrays and JSON, which one function
saves and another loads. A new signal is one subclass and one line of
`featlab.signals.registry.REGISTRY`; one from elsewhere is named
``my_module:MySignal``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import polars as pl

from featlab.columns import Column
from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.state import State, load_state, save_state
from featlab.threads import in_threads, one_blas_thread

PreparedT = TypeVar("PreparedT")


class Need(StrEnum):
    """What a signal cannot do without.

    Examples
    --------
    >>> from featlab.signals.identity import IdentitySignal
    >>> IdentitySignal.needs
    frozenset({<Need.MODEL_NAMES: 'training battles that name their models'>})
    """

    MODEL_NAMES = "training battles that name their models"
    ENCODER = "an encoder"


class Cost(StrEnum):
    """How the folds of a signal are fitted and applied.

    Examples
    --------
    >>> from featlab.signals.identity import IdentitySignal
    >>> from featlab.signals.text import TextSignal
    >>> print(TextSignal.cost, IdentitySignal.cost, sep=", ")
    nothing, one thread a fold
    """

    NOTHING = "nothing"
    """There is nothing to fit: one signal serves every fold."""

    ONE_THREAD = "one thread a fold"
    """As many folds side by side as there are threads."""

    WHOLE_MACHINE = "the whole machine"
    """One fold after the other."""


@dataclass(frozen=True)
class Context:
    """What a run tells a signal that is to be made.

    Parameters
    ----------
    seed : int
        Root seed; derive from it by name (`featlab.randomness.derive_seed`).
    families : tuple of str, optional
        Feature families to keep; all by default.
    encoder : EncoderSpec, optional
        The encoder, for signals that need one.
    store : Path, optional
        Root of the embedding store; the user's cache folder by default.
    folder : Path, optional
        Where a long fit may keep its checkpoints, a folder a fold.
    options : mapping of str to JSON value
        Further settings that signals read by name.

    Examples
    --------
    >>> from featlab.signals.text import TextSignal
    >>> text = TextSignal.from_settings(Context(families=("newlines",)), fold=0)
    >>> {column.family for column in text.columns()}
    {'newlines'}
    """

    seed: int = 0
    families: tuple[str, ...] | None = None
    encoder: EncoderSpec | None = None
    store: Path | None = None
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Signal(ABC, Generic[PreparedT]):
    """One block of columns.

    Class attributes say what a run must know before it makes one: `name`, the
    file and family of its columns; `needs`; `cost`; and `probe_tolerance`, how
    far probabilities may move when its numbers are computed on another machine.

    Examples
    --------
    >>> import numpy as np
    >>> from featlab.battles import read_battles
    >>> from featlab.generated import generate_battles
    >>> from featlab.signals.lexical import LexicalSignal
    >>> battles = read_battles(generate_battles(60, seed=0).train).collect()
    >>> outcomes, rows = Outcomes.of(battles), np.arange(50)
    >>> signal = LexicalSignal.from_settings(Context(), fold=0)
    >>> prepared = signal.prepare(battles.lazy().drop("label", "model_a", "model_b"))
    >>> fitted = signal.fit(prepared, outcomes, rows)
    >>> fitted.transform(prepared, np.arange(50, 60)).height
    10
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset()
    cost: ClassVar[Cost] = Cost.ONE_THREAD
    probe_tolerance: ClassVar[float] = 1e-6
    address: ClassVar[str | None] = None
    """How a bundle names it, where neither a name nor ``module:Class`` will do."""

    @classmethod
    @abstractmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return an unfitted signal for one fold of a run."""

    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Return every column in order; known before anything is fitted."""

    @abstractmethod
    def prepare(self, battles: pl.LazyFrame) -> PreparedT:
        """Make what needs no outcome, once for all battles.

        Parameters
        ----------
        battles : LazyFrame
            Canonical battles without `featlab.signals.outcomes.TRAINING_ONLY`.
            A signal that is not fitted yet may learn from them; one that is
            must make what its state stands for.
        """

    @abstractmethod
    def fit(self, prepared: PreparedT, outcomes: Outcomes, rows: Rows) -> Self:
        """Learn from some rows, and return itself; a signal without learning just returns.

        Parameters
        ----------
        prepared
            What `prepare` made of all battles.
        outcomes : Outcomes
            Of all battles; nothing outside `rows` may be read.
        rows : int64 array
            The training rows.
        """

    @abstractmethod
    def transform(self, prepared: PreparedT, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all, in the order given.

        A row's values depend on that row alone, and exchanging the sides of a
        battle gives exactly the exchanged columns.
        """

    @classmethod
    def transform_each(cls, fitted: Sequence[Self], prepared: PreparedT) -> list[pl.DataFrame]:
        """Return what each of some fitted signals makes of the same battles.

        Side by side or one by one, as they are fitted; a signal whose folds can
        share work does it here.
        """
        if cls.cost is Cost.WHOLE_MACHINE:
            return [signal.transform(prepared) for signal in fitted]
        with one_blas_thread():
            return in_threads(lambda signal: signal.transform(prepared), fitted)

    @abstractmethod
    def state(self) -> State:
        """Return what was learned."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Return the fitted signal that a state describes."""

    def expected_seconds(
        self, battles: pl.LazyFrame, outcomes: Outcomes, folds: Rows
    ) -> float | None:
        """Return how long all folds will take, from a measured warm-up; None for some minutes.

        Parameters
        ----------
        battles : LazyFrame
            As `prepare` takes them.
        outcomes : Outcomes
            Of all battles.
        folds : int64 array
            The fold of each battle.
        """
        return None

    def recipe(self) -> dict[str, Any]:
        """Return what shapes the columns besides battles, folds and code: a key of caches."""
        return dict(vars(self))


def save_signal(signal: Signal[Any], folder: Path) -> None:
    """Write what a fitted signal has learned into a folder; see `save_state`."""
    save_state(signal.state(), folder, signal.name)


def load_signal(kind: type[Signal[Any]], folder: Path) -> Signal[Any]:
    """Read what `save_signal` wrote.

    Raises
    ------
    BundleError
        When the folder's content is no such signal.
    """
    state = load_state(folder, kind.name)
    try:
        return kind.from_state(state)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder}: holds no {kind.name}: {error}") from error
