"""Extra battles: ties known or not, soft labels, weights, and no held-out prompt comes back."""

from pathlib import Path

import polars as pl
import pytest

from featlab.battles import PROBABILITIES, ExtraFile, read_extra, without_prompts_of
from featlab.errors import BattleError, ConfigError


def write(path: Path, outcomes: list[tuple[float, float, float]]) -> Path:
    texts = {name: [f'["{name} {row}"]' for row in range(len(outcomes))] for name in TEXTS}
    columns = zip(*outcomes, strict=True)
    frame = pl.DataFrame(
        {"id": range(len(outcomes)), **texts, **dict(zip(PROBABILITIES, columns, strict=True))}
    )
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


TEXTS = ("prompt", "response_a", "response_b")
A, B, TIE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


@pytest.mark.parametrize("name", ["more.csv", "more.parquet"])
def test_a_file_with_ties_knows_ties_and_one_without_does_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert read_extra(ExtraFile(write(path, [A, B, TIE])))["tie_known"].all()
    assert not read_extra(ExtraFile(write(path, [A, B, A])))["tie_known"].any()


def test_ids_carry_the_files_name_and_rows_their_weight(tmp_path: Path) -> None:
    found = read_extra(ExtraFile(write(tmp_path / "more.csv", [A, TIE]), 0.25))
    assert found["id"].to_list() == ["more:0", "more:1"]
    assert found["weight"].to_list() == [0.25, 0.25]
    assert found["label"].to_list() == [0, 2]


def test_probabilities_are_soft_labels(tmp_path: Path) -> None:
    found = read_extra(ExtraFile(write(tmp_path / "soft.csv", [(0.2, 0.5, 0.3), A])))
    assert found["label"].to_list() == [1, 0]
    assert found.select(PROBABILITIES).row(0) == pytest.approx((0.2, 0.5, 0.3))
    assert found["tie_known"].all()


def votes(path: Path, outcomes: list[tuple[int, tuple[float, float, float]]]) -> Path:
    """Votes on battles: the battle's id and what was said of it."""
    pl.DataFrame(
        {
            "id": battle,
            **{name: f'["{name} {battle}"]' for name in TEXTS},
            **dict(zip(PROBABILITIES, said, strict=True)),
        }
        for battle, said in outcomes
    ).write_parquet(path)
    return path


def test_several_votes_on_a_battle_become_the_shares_of_one(tmp_path: Path) -> None:
    given = [(7, B), (3, A), (7, B), (7, TIE), (7, A), (5, A), (5, B)]
    found = read_extra(ExtraFile(votes(tmp_path / "votes.parquet", given), 0.5))
    assert found["id"].to_list() == ["votes:7", "votes:3", "votes:5"]
    assert found["label"].to_list() == [1, 0, 2]
    assert found.select(PROBABILITIES).rows() == [(0.25, 0.5, 0.25), A, (0.5, 0.5, 0)]
    assert found["weight"].to_list() == [0.5] * 3


def test_votes_that_cancel_teach_nothing_where_the_source_holds_no_ties(tmp_path: Path) -> None:
    found = read_extra(ExtraFile(votes(tmp_path / "votes.parquet", [(7, B), (7, A), (5, A)])))
    assert found["id"].to_list() == ["votes:5"]
    assert not found["tie_known"].any()


def test_outcomes_that_are_neither_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BattleError, match="one-hot"):
        read_extra(ExtraFile(write(tmp_path / "wrong.csv", [(0.9, 0.9, 0.0), A])))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BattleError, match=r"nowhere\.csv"):
        read_extra(ExtraFile(tmp_path / "nowhere.csv"))


def test_no_prompt_of_the_battles_comes_back_whatever_its_answers() -> None:
    battles = pl.DataFrame({"prompt": [["Why  IS the sky blue?"], ["other", "turn"]]})
    extra = pl.DataFrame(
        {"prompt": [["why is the sky blue?"], ["new"], ["Other"]], "response_a": [["x"]] * 3}
    )
    assert without_prompts_of(extra, battles)["prompt"].to_list() == [["new"]]


@pytest.mark.parametrize("text", ["more.csv:0", "more.csv:-1", "more.csv:inf"])
def test_a_weight_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="weight"):
        ExtraFile.parse(text)


def test_a_colon_in_the_path_is_no_weight() -> None:
    assert ExtraFile.parse("C:/battles/more.csv") == ExtraFile(Path("C:/battles/more.csv"))
