from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.generated import generate_battles
from featlab.parity import Parity
from featlab.signals.identity.signal import IdentitySignal
from featlab.signals.lexical.signal import LexicalSignal
from models.stacking.out_of_fold import ExtraBattles, mean_transform, out_of_fold


class Remembering:
    """Its one column tells how many of a battle's ids it was fitted on."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def fit(self, battles: pl.DataFrame) -> Self:
        self.seen = battles["id"].to_list()
        return self

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        seen = battles["id"].is_in(self.seen).cast(pl.Float32)
        return pl.DataFrame({"seen": seen, "id_again": battles["id"].cast(pl.Float32)})

    def parity(self) -> dict[str, Parity]:
        return {"seen": Parity.EVEN, "id_again": Parity.EVEN}

    def save(self, folder: Path) -> None:
        raise AssertionError("not needed here")

    @classmethod
    def load(cls, folder: Path) -> Self:
        raise AssertionError("not needed here")


@pytest.mark.parametrize("side_by_side", [False, True])
def test_no_battle_is_transformed_by_a_signal_that_saw_it(side_by_side: bool) -> None:
    battles = pl.DataFrame({"id": np.random.default_rng(0).permutation(30)})
    folds = np.random.default_rng(1).integers(0, 4, 30)
    told: list[int] = []
    columns, fitted = out_of_fold(
        lambda fold: Remembering(), battles, folds, told.append, side_by_side=side_by_side
    )
    assert told == [1, 2, 3, 4]
    assert columns["seen"].to_list() == [0.0] * 30
    assert columns["id_again"].cast(pl.Int64).to_list() == battles["id"].to_list()
    assert len(fitted) == 4


def test_extra_battles_train_in_the_folds_that_they_are_not_dealt_to() -> None:
    battles = pl.DataFrame({"id": range(9)})
    extra = ExtraBattles(pl.DataFrame({"id": ["100", "101"]}), np.array([0, 2]))
    columns, fitted = out_of_fold(
        lambda fold: Remembering(), battles, np.arange(9) % 3, extra=extra
    )
    assert columns["id_again"].to_list() == [*range(9), 100, 101]
    assert columns["seen"].to_list() == [0.0] * 11
    assert [sorted({"100", "101"} & set(map(str, signal.seen))) for signal in fitted] == [
        ["101"],
        ["100", "101"],
        ["100"],
    ]


def test_the_mean_over_fold_models_is_their_mean() -> None:
    models = [Remembering().fit(pl.DataFrame({"id": ids})) for ids in ([1], [1, 2], [1, 2], [2])]
    mean = mean_transform(models, pl.DataFrame({"id": [1, 2, 3]}))
    assert mean["seen"].to_list() == [0.75, 0.75, 0.0]
    assert mean.schema["seen"] == pl.Float32


def test_folds_fitted_side_by_side_give_the_same_columns() -> None:
    battles = read_battles(generate_battles(120, seed=3).train).collect()
    folds = np.arange(120) % 3
    for make in (LexicalSignal, IdentitySignal):
        alone, _ = out_of_fold(lambda fold, make=make: make(seed=fold), battles, folds)
        beside, _ = out_of_fold(
            lambda fold, make=make: make(seed=fold), battles, folds, side_by_side=True
        )
        assert alone.equals(beside)
