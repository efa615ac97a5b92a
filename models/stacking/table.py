"""The table that the members learn from: the columns of every signal, outcomes and folds.

Besides the battles of a run, which are predicted out of fold and scored, there
may be extra ones that only ever train. A source that holds no ties has hidden
them: each of its decisive battles with a chance p of a tie stands for
p / (1 - p) ties that were left out (the expectation step for truncated counts,
Dempster, Laird and Rubin, 1977, section 4.2). The trees are shown those ties,
weighted so; a model of ties that learned from other battles says what p is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.schema import TIE
from featlab.columns import Column, Kind
from featlab.parity import Parity
from featlab.signals.outcomes import Outcomes
from models.probabilities import Floats, Labels, Rows

Matrix = NDArray[np.float32]

_SIZE = "_size"
_LIKELIEST_TIE = 0.9


def stacked_columns(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return the columns that the members see of a signal's.

    Side columns go, since their pairings stand for them. Every margin brings
    its size along: odd, it is of no use for ties to anything linear, although a
    battle that a signal cannot decide is the likelier tie.

    Examples
    --------
    >>> margin = Column("m", Parity.ODD, "f", "log odds", Kind.MARGIN)
    >>> [(column.name, column.parity.value) for column in stacked_columns([margin])]
    [('m', 'odd'), ('m_size', 'even')]
    """
    kept = [column for column in columns if column.parity is not Parity.SIDE]
    sizes = [
        replace(
            column,
            name=column.name + _SIZE,
            parity=Parity.EVEN,
            kind=Kind.SCALAR,
            meaning=f"size of: {column.meaning}",
        )
        for column in kept
        if column.kind is Kind.MARGIN
    ]
    return (*kept, *sizes)


def stacked_frame(frame: pl.DataFrame, columns: Iterable[Column]) -> pl.DataFrame:
    """Return the columns of `stacked_columns`, made of a frame of a signal's own columns."""
    names, present = [column.name for column in columns], set(frame.columns)
    sizes = [
        frame[name.removesuffix(_SIZE)].abs().alias(name) for name in names if name not in present
    ]
    return frame.hstack(sizes)[names]


@dataclass(frozen=True)
class Table:
    """Battles as the members see them, a row a battle.

    Parameters
    ----------
    frame : DataFrame
        Numeric columns only.
    columns : tuple of Column
        Those of `frame`, in order.
    outcomes : Outcomes
    folds : int64 array of shape (n,)
        0 to K - 1; for extra battles, the fold whose signals have not learned
        from them.
    extra : Table, optional
        Battles with the same columns that are never held out and never scored.
    """

    frame: pl.DataFrame = field(repr=False)
    columns: tuple[Column, ...] = field(repr=False)
    outcomes: Outcomes
    folds: Rows = field(repr=False)
    extra: Table | None = None

    @property
    def labels(self) -> Labels:
        """What happened: 0 a won, 1 b won, 2 tie."""
        return self.outcomes.labels

    @cached_property
    def ties(self) -> bool:
        """Whether any of the battles was a tie; without one there are two outcomes, not three."""
        return bool((self.labels == TIE).any())

    @property
    def groups(self) -> Rows:
        """Equal for battles of one prompt."""
        return self.outcomes.groups

    def select(self, wanted: Callable[[Column], bool]) -> Table:
        """Return the same battles with the columns that are wanted."""
        columns = tuple(filter(wanted, self.columns))
        frame = self.frame.select(column.name for column in columns)
        return replace(
            self, frame=frame, columns=columns, extra=self.extra and self.extra.select(wanted)
        )

    def take(self, rows: Rows) -> Table:
        """Return some of the battles, in their order, and the same extra ones."""
        return replace(
            self,
            frame=self.frame[rows],
            outcomes=self.outcomes.take(rows),
            folds=self.folds[rows],
        )

    @cached_property
    def scalars(self) -> tuple[Column, ...]:
        """The columns that trees split on.

        Among hundreds of coordinates of vectors, trees would pick single ones
        and learn noise; only the kernel, which looks at distances, reads those.
        """
        return tuple(column for column in self.columns if column.kind is not Kind.VECTOR)

    @cached_property
    def both_orders(self) -> tuple[Matrix, Matrix]:
        """The scalar columns as given and exchanged, each float32 of shape (n, columns)."""
        return matrices(self.frame, self.scalars)

    @property
    def fold_numbers(self) -> list[int]:
        """The folds there are, in order."""
        return [int(fold) for fold in np.unique(self.folds)]

    def training_rows(self, held_out: int) -> Rows:
        """Return the row numbers outside a fold."""
        return np.flatnonzero(self.folds != held_out)

    def stopping_split(self, held_out: int) -> tuple[Rows, Rows]:
        """Return training rows to fit on and, the fold after the held-out one, to stop on."""
        numbers = self.fold_numbers
        stopping = numbers[(numbers.index(held_out) + 1) % len(numbers)]
        fitting = np.flatnonzero((self.folds != held_out) & (self.folds != stopping))
        return fitting, np.flatnonzero(self.folds == stopping)


def matrices(frame: pl.DataFrame, columns: Iterable[Column]) -> tuple[Matrix, Matrix]:
    """Return odd and even columns of a frame and of its swapped image as float32 matrices.

    What is missing or infinite is NaN: trees keep their own direction for it, and
    their text has no word for infinity.
    """
    columns = list(columns)
    given = frame[[column.name for column in columns]].cast(pl.Float32).to_numpy()
    given = np.where(np.isfinite(given), given, np.float32(np.nan))
    odd = np.array([column.parity is Parity.ODD for column in columns])
    return given, np.where(odd, -given, given)


def exchanged_labels(labels: Labels) -> Labels:
    """Return the labels of the exchanged battles.

    Examples
    --------
    >>> exchanged_labels(np.array([0, 1, 2])).tolist()
    [1, 0, 2]
    """
    return np.where(labels < TIE, 1 - labels, labels)


def weighted_shares(outcomes: Outcomes) -> Floats:
    """Return the outcomes, each counting for its battle's weight: float64 of shape (n, 3)."""
    weighted: Floats = outcomes.shares * outcomes.weight[:, None]
    return weighted


def counted_outcomes(outcomes: Outcomes, hidden_ties: Floats) -> tuple[Rows, Labels, Floats]:
    """Return row, label and weight of every outcome that a battle stands for.

    Parameters
    ----------
    outcomes : Outcomes
    hidden_ties : float64 array of shape (n,)
        The chance of a tie, read where the source holds none.

    Examples
    --------
    >>> battle = pl.DataFrame({"prompt": [["?"]], "label": [0], "tie_known": [False]})
    >>> counted = counted_outcomes(Outcomes.of(battle), np.array([0.2]))
    >>> [part.tolist() for part in counted]
    [[0, 0], [0, 2], [1.0, 0.25]]
    """
    chance = np.where(outcomes.tie_known, 0.0, np.minimum(hidden_ties, _LIKELIEST_TIE))
    counted = weighted_shares(outcomes)
    counted[:, TIE] += outcomes.weight * chance / (1.0 - chance)
    rows, labels = np.nonzero(counted > 0.0)
    return rows, labels.astype(np.int64), counted[rows, labels]
