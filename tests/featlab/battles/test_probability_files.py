from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from featlab.battles import PROBABILITIES, read_probabilities
from featlab.errors import BattleError

ROWS = {
    "id": ["7", "9"],
    "winner_model_a": [0.5, 0.2],
    "winner_model_b": [0.3, 0.2],
    "winner_tie": [0.2, 0.615],
}


def frame(**changes: list[object]) -> pl.DataFrame:
    return pl.DataFrame({**ROWS, **changes})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"stated{suffix}"
    if suffix == ".csv":
        frame(id=[7, 9]).write_csv(path)
    else:
        frame(id=[7, 9]).write_parquet(path)
    found = read_probabilities(path)
    assert found["id"].to_list() == ["7", "9"]
    assert found.select(pl.sum_horizontal(PROBABILITIES)).to_series().to_list() == (
        pytest.approx([1.0, 1.0], abs=1e-12)
    )


def test_two_outcomes_need_no_column_of_ties(tmp_path: Path) -> None:
    frame(winner_model_a=[0.7, 0.8]).drop("winner_tie").write_csv(tmp_path / "stated.csv")
    assert read_probabilities(tmp_path / "stated.csv")["winner_tie"].to_list() == [0.0, 0.0]


def test_a_row_with_a_null_says_nothing(tmp_path: Path) -> None:
    frame(winner_tie=[0.2, None]).write_parquet(tmp_path / "stated.parquet")
    assert read_probabilities(tmp_path / "stated.parquet")["id"].to_list() == ["7"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (frame(id=["7", "7"]), "column 'id' is not unique .first ids: 7"),
        (frame(winner_tie=[0.2, 0.9]), "sum 1 .first ids: 9"),
        (frame(winner_model_a=[0.5, -0.2], winner_tie=[0.2, 1.0]), "not three probabilities.*9"),
        (frame(winner_tie=[float("nan"), 0.6]), "not three probabilities.*7"),
        (frame(winner_tie=["0.2", "x"]), "are no numbers"),
        (frame().drop("winner_tie"), "not three probabilities.*7, 9"),
        (frame().drop("winner_model_b"), "has no column winner_model_b"),
    ],
)
def test_what_is_no_distribution(tmp_path: Path, broken: pl.DataFrame, message: str) -> None:
    broken.write_parquet(tmp_path / "stated.parquet")
    with pytest.raises(BattleError, match=message):
        read_probabilities(tmp_path / "stated.parquet")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BattleError, match="there is no such file"):
        read_probabilities(tmp_path / "stated.csv")
