"""What training battles say of who won, and all else that only training may see."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.extra import TIE_KNOWN, WEIGHT
from featlab.battles.folds import deal_folds
from featlab.battles.schema import PROBABILITIES, TIE
from featlab.battles.turns import battle_key
from featlab.errors import BattleError
from featlab.randomness import derive_seed

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

TRAINING_ONLY = ("label", "model_a", "model_b", WEIGHT, TIE_KNOWN, *PROBABILITIES)
"""Columns of battles that no signal may read but through `Outcomes`."""


@dataclass(frozen=True)
class Outcomes:
    """The outcome side of some training battles, a row a battle.

    Parameters
    ----------
    labels : int64 array of shape (n,)
        0 a won, 1 b won, 2 tie.
    weight : float64 array of shape (n,)
        How many battles each counts for.
    tie_known : bool array of shape (n,)
        Where false, that the battle is no tie says nothing: its source has none.
    soft : float64 array of shape (n, 3)
        A teacher's probabilities or the shares of several votes; NaN where a
        battle has its label only.
    groups : int64 array of shape (n,)
        Equal for battles of one prompt.
    model_a, model_b : Series of String, length n
        Who wrote the responses; null where the battle does not say.

    Examples
    --------
    >>> battles = pl.DataFrame({"prompt": [["x"], ["y"]], "label": [0, 2], "weight": [1, None]})
    >>> outcomes = Outcomes.of(battles)
    >>> outcomes.weight.tolist(), outcomes.shares[1].tolist()
    ([1.0, 1.0], [0.0, 0.0, 1.0])
    """

    labels: NDArray[np.int64]
    weight: Floats = field(repr=False)
    tie_known: NDArray[np.bool_] = field(repr=False)
    soft: Floats = field(repr=False)
    groups: NDArray[np.int64] = field(repr=False)
    model_a: pl.Series = field(repr=False)
    model_b: pl.Series = field(repr=False)

    @classmethod
    def of(cls, battles: pl.DataFrame) -> Self:
        """Read them from canonical battles with ``label`` and ``prompt``.

        Parameters
        ----------
        battles : DataFrame
            Its columns `TRAINING_ONLY` are read where they are there.

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
        soft = [_column(battles, name, pl.Float64, float("nan")) for name in PROBABILITIES]
        groups = battles.select(battle_key(battles.columns).rank("dense")).to_series()
        return cls(
            battles["label"].to_numpy().astype(np.int64),
            weight.to_numpy().astype(np.float64),
            _column(battles, TIE_KNOWN, pl.Boolean, True).to_numpy().astype(np.bool_),
            np.stack([column.to_numpy() for column in soft], axis=1),
            groups.to_numpy().astype(np.int64),
            _column(battles, "model_a", pl.String, None),
            _column(battles, "model_b", pl.String, None),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> Self:
        """Return the outcomes of some rows, in their order."""
        return replace(
            self,
            labels=self.labels[rows],
            weight=self.weight[rows],
            tie_known=self.tie_known[rows],
            soft=self.soft[rows],
            groups=self.groups[rows],
            model_a=self.model_a[rows],
            model_b=self.model_b[rows],
        )

    @property
    def shares(self) -> Floats:
        """The soft labels where there are any, else the outcome as 0 and 1: shape (n, 3)."""
        shares: Floats = np.where(np.isfinite(self.soft), self.soft, np.eye(3)[self.labels])
        return shares

    def inner_folds(self, count: int, seed: int, name: str) -> NDArray[np.int64]:
        """Return a fold for each battle, a prompt's battles together: int64, shape (n,).

        Where there are fewer prompts than `count`, there is a fold for each
        prompt.

        Parameters
        ----------
        count : int
            Number of folds.
        seed : int
            Root seed.
        name : str
            What the folds are for; other names give other folds.
        """
        prompts = len(np.unique(self.groups))
        if prompts < 2:
            return np.zeros(len(self), np.int64)
        return deal_folds(
            self.groups, self.labels, min(count, prompts), derive_seed(seed, "inner", name)
        )


def _column(
    battles: pl.DataFrame, name: str, dtype: type[pl.DataType], default: object
) -> pl.Series:
    if name not in battles.columns:
        return pl.Series(name, [default] * len(battles), dtype)
    column = battles[name].cast(dtype)
    return column if default is None else column.fill_null(default)


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
