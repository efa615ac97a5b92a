"""Another model's probabilities: looked up by id, symmetric in the sides, refused where broken."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles.schema import PROBABILITIES
from featlab.columns import parities
from featlab.errors import BattleError, ConfigError
from featlab.parity import swap
from featlab.signals import Context, find_signal, load_signal, save_signal
from featlab.signals.given import given_signal, read_given

BATTLES = pl.LazyFrame({"id": [3, 1, 2]})


def write(folder: Path, ids: list[object], rows: list[tuple[float, float, float]]) -> Path:
    values = np.array(rows, dtype=float).reshape(len(ids), 3)
    columns = {name: values[:, index] for index, name in enumerate(PROBABILITIES)}
    path = folder / "given.csv"
    pl.DataFrame({"id": ids, **columns}).write_csv(path)
    return path


def columns_of(file: Path) -> pl.DataFrame:
    signal = given_signal("llm")(file)
    signal.look_for(BATTLES.collect()["id"])
    return signal.transform(signal.prepare(BATTLES))


def test_battles_are_found_by_id_and_the_missing_ones_are_flagged(tmp_path: Path) -> None:
    frame = columns_of(write(tmp_path, [1, 3, 9], [(0.5, 0.25, 0.25), (0.1, 0.3, 0.6), (1, 0, 0)]))
    assert frame["llm__missing"].to_list() == [0, 0, 1]
    assert frame["llm__margin"].to_list()[:2] == pytest.approx([np.log(1 / 3), np.log(2)])
    assert frame["llm__tie"].to_list()[:2] == pytest.approx([np.log(1.5), np.log(1 / 3)])
    assert frame.row(2)[:2] == (None, None)


def test_the_exchanged_file_gives_the_exchanged_columns(tmp_path: Path) -> None:
    rows = [(0.5, 0.25, 0.25), (0.1, 0.3, 0.6), (1.0, 0.0, 0.0)]
    given = columns_of(write(tmp_path, [1, 2, 3], rows))
    mirrored = columns_of(write(tmp_path, [1, 2, 3], [(b, a, tie) for a, b, tie in rows]))
    assert swap(given, parities(given_signal("llm")().columns())).equals(mirrored)


def test_a_saved_signal_says_nothing_until_it_is_given_a_file(tmp_path: Path) -> None:
    signal = given_signal("llm")(write(tmp_path, [1], [(0.2, 0.2, 0.6)]))
    save_signal(signal, tmp_path / "state")
    kind = find_signal("given:llm", ())
    assert kind is type(signal)
    loaded = load_signal(kind, tmp_path / "state")
    assert loaded.transform(loaded.prepare(BATTLES))["llm__missing"].to_list() == [1, 1, 1]


def test_the_content_of_the_file_is_the_recipe(tmp_path: Path) -> None:
    context = Context(options={"given": {"llm": str(tmp_path / "given.csv")}})
    recipes = []
    for share in (0.2, 0.2, 0.3):
        write(tmp_path, [1], [(share, 0.5 - share, 0.5)])
        recipes.append(given_signal("llm").from_settings(context, 0).recipe())
    assert recipes[0] == recipes[1] != recipes[2]


@pytest.mark.parametrize(
    ("ids", "rows", "words"),
    [
        ([1, 1], [(0.5, 0.25, 0.25)] * 2, "is not unique"),
        ([1], [(0.5, 0.2, 0.2)], "sum 1"),
        ([1], [(1.5, -0.5, 0.0)], "sum 1"),
        ([7, 8], [(0.5, 0.25, 0.25)] * 2, "none of the battles' ids"),
    ],
)
def test_a_broken_file_is_refused(
    tmp_path: Path, ids: list[object], rows: list[tuple[float, float, float]], words: str
) -> None:
    with pytest.raises(BattleError, match=words):
        columns_of(write(tmp_path, ids, rows))


def test_a_batch_may_hold_no_battle_of_the_file_and_one_without_an_id_never_is_one(
    tmp_path: Path,
) -> None:
    signal = given_signal("llm")(write(tmp_path, [0, 1, 2], [(0.5, 0.25, 0.25)] * 3))
    signal.look_for(pl.Series("id", [2, 8, 9]))
    for ids in ([8, 9], [None], []):
        frame = pl.LazyFrame({"id": ids}, {"id": pl.Int64})
        assert signal.prepare(frame)["llm__missing"].to_list() == [1.0] * len(ids)


def test_a_file_without_a_column_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    with pytest.raises(BattleError, match="no such file"):
        read_given(path)
    path.write_text("id,winner_model_a\n1,0.5\n")
    with pytest.raises(BattleError, match="has no column winner_model_b"):
        read_given(path)
    with pytest.raises(ConfigError, match="a name is made of"):
        given_signal("My LLM")


def test_ids_of_a_csv_are_the_text_that_is_written(tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(f"id,{','.join(PROBABILITIES)}\n007,0.2,0.3,0.5\n1.10,0.2,0.3,0.5\n")
    assert read_given(path)["id"].to_list() == ["007", "1.10"]
