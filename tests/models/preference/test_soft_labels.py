from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from featlab.errors import BattleError
from models.preference.soft_labels import read_soft_labels, teacher_probabilities

ROWS = {
    "id": ["7", "9"],
    "winner_model_a": [0.5, 0.2],
    "winner_model_b": [0.3, 0.2],
    "winner_tie": [0.2, 0.601],
}


def frame(**changes: list[object]) -> pl.DataFrame:
    return pl.DataFrame({**ROWS, **changes})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"soft{suffix}"
    if suffix == ".csv":
        frame(id=[7, 9]).write_csv(path)
    else:
        frame(id=[7, 9]).write_parquet(path)
    found = read_soft_labels(path)
    assert found["id"].to_list() == ["7", "9"]
    assert found.select(pl.sum_horizontal(PROBABILITIES)).to_series().to_list() == (
        pytest.approx([1.0, 1.0], abs=1e-12)
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (frame(id=["7", "7"]), "column 'id' is not unique .first ids: 7"),
        (frame(winner_tie=[0.2, 0.9]), "sum to 1 .first ids: 9"),
        (frame(winner_model_a=[0.5, -0.2], winner_tie=[0.2, 1.0]), "no probabilities.*9"),
        (frame(winner_tie=[0.2, None]), "no probabilities.*9"),
        (frame(winner_tie=[float("nan"), 0.6]), "no probabilities.*7"),
        (frame(winner_tie=["0.2", "x"]), "are no numbers"),
        (frame().drop("winner_tie"), "lacks winner_tie"),
    ],
)
def test_what_is_no_distribution(tmp_path: Path, broken: pl.DataFrame, message: str) -> None:
    broken.write_parquet(tmp_path / "soft.parquet")
    with pytest.raises(BattleError, match=message):
        read_soft_labels(tmp_path / "soft.parquet")


def test_they_are_joined_by_id(tmp_path: Path) -> None:
    path = tmp_path / "soft.csv"
    frame().write_csv(path)
    found = teacher_probabilities(path, pl.Series(["9", "8", "7"]))
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert found[2].tolist() == [0.5, 0.3, 0.2]
    with pytest.raises(BattleError, match="a soft label for none of the battles"):
        teacher_probabilities(path, pl.Series(["1", "2"]))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BattleError, match="there is no such file"):
        read_soft_labels(tmp_path / "soft.csv")
