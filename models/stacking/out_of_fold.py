"""Signals over folds: prepared once, fitted without a fold, applied to it.

The out-of-fold columns train the members; on new battles the mean over the fold
models stands in their place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.errors import BundleError
from featlab.memory import return_freed_memory
from featlab.signals.outcomes import TRAINING_ONLY, Outcomes, Rows
from featlab.signals.signal import Context, Cost, Signal, load_signal, save_signal
from featlab.threads import in_threads, one_blas_thread


def prepare(signal: Signal[Any], battles: pl.LazyFrame) -> Any:
    """Return what a signal prepares of battles, with what only training may see taken away."""
    return signal.prepare(battles.drop(TRAINING_ONLY, strict=False))


def out_of_fold(
    kind: type[Signal[Any]],
    context: Context,
    battles: pl.LazyFrame,
    outcomes: Outcomes,
    folds: Rows,
    on_fold: Callable[[int], None] | None = None,
) -> tuple[pl.DataFrame, list[Signal[Any]]]:
    """Fit one signal a fold on the other folds, and transform the fold by it.

    Parameters
    ----------
    kind : type of Signal
    context : Context
    battles : LazyFrame
        Canonical battles; extra ones count as battles of the fold they are
        dealt to.
    outcomes : Outcomes
        Of the battles, in their order.
    folds : int64 array of shape (n,)
    on_fold : callable, optional
        Called with the number of completed folds, after each.

    Returns
    -------
    The out-of-fold columns in the order of the battles, and the fitted signals:
    one a fold, or a single one where there is nothing to fit.
    """
    first = kind.from_settings(context, 0)
    prepared = prepare(first, battles)
    return_freed_memory()
    if kind.cost is Cost.NOTHING:
        return first.transform(prepared), [first]
    return fit_folds(kind, context, prepared, outcomes, folds, np.arange(len(folds)), on_fold)


def fit_folds(
    kind: type[Signal[Any]],
    context: Context,
    prepared: Any,
    outcomes: Outcomes,
    folds: Rows,
    rows: Rows,
    on_fold: Callable[[int], None] | None = None,
) -> tuple[pl.DataFrame, list[Signal[Any]]]:
    """Do as `out_of_fold` with some rows of what is prepared already.

    Parameters
    ----------
    rows : int64 array
        The battles to train on and to transform; the others are not touched.

    See `out_of_fold` for the other parameters.
    """
    done = count(1)
    own = folds[rows]

    def fit_fold(fold: int) -> tuple[pl.DataFrame, Signal[Any]]:
        signal = kind.from_settings(context, fold).fit(prepared, outcomes, rows[own != fold])
        columns = signal.transform(prepared, rows[own == fold])
        if on_fold is not None:
            on_fold(next(done))
        return columns, signal

    numbers = [int(fold) for fold in np.unique(own)]
    if kind.cost is Cost.ONE_THREAD:
        with one_blas_thread():
            made = in_threads(fit_fold, numbers)
    else:
        made = [fit_fold(fold) for fold in numbers]
    order = np.concatenate([np.flatnonzero(own == fold) for fold in numbers])
    columns = pl.concat([part for part, _ in made])[np.argsort(order, kind="stable")]
    return columns, [signal for _, signal in made]


def mean_columns(fitted: Sequence[Signal[Any]], battles: pl.LazyFrame) -> pl.DataFrame:
    """Return the mean of the fold models' columns on battles that none of them saw.

    The sum runs in the order of the folds and in float64, so that it is exactly
    odd or even where its terms are.
    """
    prepared = prepare(fitted[0], battles)
    if len(fitted) == 1:
        return fitted[0].transform(prepared)
    frames = type(fitted[0]).transform_each(fitted, prepared)
    total = np.zeros(frames[0].shape)
    for frame in frames:
        total += frame.to_numpy()
    return pl.DataFrame((total / len(frames)).astype(np.float32), frames[0].columns)


def save_fitted(fitted: Sequence[Signal[Any]], folder: Path) -> None:
    """Write fitted signals into a folder, a folder a fold, in place of what it held."""
    for fold, signal in enumerate(fitted):
        save_signal(signal, folder / str(fold))
    for stale in folder.iterdir():
        if stale.name not in map(str, range(len(fitted))):
            shutil.rmtree(stale)


def load_fitted(kind: type[Signal[Any]], folder: Path) -> list[Signal[Any]]:
    """Return the fitted signals of a folder that holds one a fold, in their order.

    Raises
    ------
    BundleError
        When there is none, or one cannot be read.
    """
    count = len(list(folder.iterdir())) if folder.is_dir() else 0
    if not count:
        raise BundleError(f"{folder}: holds no fitted signal")
    return [load_signal(kind, folder / str(fold)) for fold in range(count)]
