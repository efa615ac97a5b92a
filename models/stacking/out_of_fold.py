"""Signals that learn: fitted on the training folds, applied to the held-out one.

A signal is anything that has the five methods of `FittedSignal`. Its
out-of-fold columns train the stacker; on new battles the mean over the fold
models stands in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from featlab.parity import Parity
from featlab.threads import in_threads


class FittedSignal(Protocol):
    """What the ensemble asks of a signal that learns."""

    def fit(self, battles: pl.DataFrame) -> Self:
        """Learn from canonical battles with labels, and with names where there are any."""

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        """The signal's columns, Float32, one row a battle; reads no label and no name."""

    def parity(self) -> dict[str, Parity]:
        """The parity of every column."""

    def save(self, folder: Path) -> None:
        """Write the fitted state, without pickle."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""


@dataclass(frozen=True)
class ExtraBattles:
    """Further battles for the training side, dealt to the folds of those they join.

    A fold's signal learns neither from the fold nor from the extra battles
    dealt to it, so that the columns of all battles are out of fold.

    Parameters
    ----------
    frame : DataFrame
        From `featlab.battles.read_extra`; none of their prompts may be among
        those of the battles they join.
    folds : array of int, shape (n,)
    """

    frame: pl.DataFrame = field(repr=False)
    folds: NDArray[np.int64] = field(repr=False)


def out_of_fold(
    make: Callable[[int], FittedSignal],
    battles: pl.DataFrame,
    folds: NDArray[np.int64],
    on_fold: Callable[[int], None] | None = None,
    extra: ExtraBattles | None = None,
    *,
    side_by_side: bool = False,
) -> tuple[pl.DataFrame, list[FittedSignal]]:
    """Fit one signal a fold on the other folds, and transform the fold by it.

    Parameters
    ----------
    make : callable
        From the fold's number to an unfitted signal.
    battles : DataFrame
        Canonical battles, shape (n, ...).
    folds : array of int, shape (n,)
    on_fold : callable, optional
        Told how many folds are done, after each.
    extra : ExtraBattles, optional
        Further battles for the training side only.
    side_by_side : bool
        Fit as many folds at once as there are threads, to the same columns: for
        signals that keep to one thread, at the price of as many times the memory.

    Returns
    -------
    The out-of-fold columns in the order of the battles, then of the extra ones,
    and the fitted signals.
    """
    if extra is not None:
        own = battles.with_columns(pl.col("id").cast(pl.String))
        battles = pl.concat([own, extra.frame], how="diagonal_relaxed")
        folds = np.concatenate([folds, extra.folds])
    done = count(1)

    def fit_fold(fold: int) -> tuple[pl.DataFrame, FittedSignal]:
        signal = make(fold).fit(battles[np.flatnonzero(folds != fold)])
        columns = signal.transform(battles[np.flatnonzero(folds == fold)])
        if on_fold is not None:
            on_fold(next(done))
        return columns, signal

    numbers = [int(fold) for fold in np.unique(folds)]
    if side_by_side:
        with threadpool_limits(limits=1, user_api="blas"):
            made = in_threads(fit_fold, numbers)
    else:
        made = [fit_fold(fold) for fold in numbers]
    rows = np.concatenate([np.flatnonzero(folds == fold) for fold in numbers])
    columns = pl.concat([part for part, _ in made])[np.argsort(rows, kind="stable")]
    return columns, [signal for _, signal in made]


def mean_transform(fitted: Sequence[FittedSignal], battles: pl.DataFrame) -> pl.DataFrame:
    """The mean of the fold models' columns on battles that none of them saw.

    The sum runs in the order of the folds and in float64, so that it is exactly
    odd or even where its terms are.
    """
    frames = [signal.transform(battles).cast(pl.Float64) for signal in fitted]
    return frames[0].select(
        (pl.sum_horizontal(frame[name] for frame in frames) / len(frames))
        .cast(pl.Float32)
        .alias(name)
        for name in frames[0].columns
    )
