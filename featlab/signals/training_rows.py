"""What a signal reads of training battles besides their texts: outcomes, weights, inner folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.extra import TIE_KNOWN, WEIGHT
from featlab.battles.folds import make_folds
from featlab.battles.schema import TIE
from featlab.battles.turns import prompt_key
from featlab.errors import BattleError
from featlab.randomness import derive_seed


@dataclass(frozen=True)
class TrainingRows:
    """The outcome side of some training battles.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        0 a won, 1 b won, 2 tie.
    weight : float64 array of shape (n,)
    tie_known : bool array of shape (n,)
        Where false, that the battle is no tie says nothing: its source has none.

    Examples
    --------
    >>> rows = TrainingRows.of(pl.DataFrame({"label": [0, 2], "weight": [1, None]}))
    >>> rows.decisive.tolist(), rows.weight.tolist()
    ([0], [1.0, 1.0])
    """

    labels: NDArray[np.int64]
    weight: NDArray[np.float64]
    tie_known: NDArray[np.bool_]

    @classmethod
    def of(cls, battles: pl.DataFrame) -> Self:
        """Read them from canonical battles.

        Raises
        ------
        BattleError
            When there are no battles, a label is missing or not 0, 1 or 2, or
            a weight is negative or not finite.
        """
        if battles.is_empty():
            raise BattleError("there are none to learn from", source="training battles")
        if "label" not in battles.columns:
            raise BattleError(
                "is missing",
                source="training battles",
                column="label",
                remedy="a signal is fitted on battles with outcomes",
            )
        _refuse(battles, ~pl.col("label").is_in([0, 1, TIE]).fill_null(False), "label", "0, 1 or 2")
        weight = _column(battles, WEIGHT, pl.Float64, 1.0)
        _refuse(
            battles.with_columns(weight),
            ~(pl.col(WEIGHT).is_finite() & (pl.col(WEIGHT) >= 0)),
            WEIGHT,
            "a finite number from 0",
        )
        return cls(
            battles["label"].to_numpy().astype(np.int64),
            weight.to_numpy().astype(np.float64),
            _column(battles, TIE_KNOWN, pl.Boolean, True).to_numpy().astype(np.bool_),
        )

    @property
    def decisive(self) -> NDArray[np.int64]:
        """The rows that one side won."""
        return np.flatnonzero(self.labels != TIE)

    @property
    def tie_or_not(self) -> NDArray[np.int64]:
        """The rows that could have been a tie."""
        return np.flatnonzero(self.tie_known)


def inner_folds(battles: pl.DataFrame, count: int, seed: int, name: str) -> NDArray[np.int64]:
    """A fold for each training battle, a prompt's battles together: int64, shape (n,).

    Where there are fewer prompts than `count`, there is a fold for each prompt.
    """
    prompts = battles.select(prompt_key().n_unique()).item()
    if prompts < 2:
        return np.zeros(len(battles), np.int64)
    keyed = battles.select("prompt", "label").with_row_index("id")
    folds = make_folds(keyed, min(count, prompts), derive_seed(seed, "inner", name))
    return folds["fold"].to_numpy().astype(np.int64)


def _column(
    battles: pl.DataFrame, name: str, dtype: type[pl.DataType], default: object
) -> pl.Series:
    if name not in battles.columns:
        return pl.Series(name, [default] * len(battles), dtype)
    return battles[name].cast(dtype).fill_null(default)


def _refuse(battles: pl.DataFrame, wrong: pl.Expr, column: str, expected: str) -> None:
    bad = battles.filter(wrong)
    if not bad.is_empty():
        rows = bad["id"].head(3).to_list() if "id" in bad.columns else ()
        raise BattleError(
            f"holds something other than {expected}",
            source="training battles",
            column=column,
            rows=rows,
        )
