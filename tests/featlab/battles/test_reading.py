"""Every kind of file gives the same canonical battles; swapping sides is exact."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings

from featlab.battles import (
    ARENA,
    BATTLE_PARITY,
    WSDM,
    BattleSchema,
    LabelColumn,
    OneHotColumns,
    joined_turns,
    prompt_key,
    read_battles,
    swap_battles,
)
from featlab.parity import Parity, swap
from tests.strategies import battle_frames

DTYPES = {
    "prompt": pl.List(pl.String),
    "response_a": pl.List(pl.String),
    "response_b": pl.List(pl.String),
    "prompt__null": pl.Boolean,
    "response_a__null": pl.Boolean,
    "response_b__null": pl.Boolean,
}


def written(raw: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        raw.write_csv(path)
    elif path.suffix == ".jsonl":
        raw.write_ndjson(path)
    else:
        raw.write_parquet(path)
    return path


def test_the_canonical_frame(raw_battles: pl.DataFrame) -> None:
    battles = read_battles(raw_battles)
    assert isinstance(battles, pl.LazyFrame)
    rows = battles.collect()
    assert rows.schema == {
        "id": pl.Int64,
        "label": pl.Int8,
        "model_a": pl.String,
        "model_b": pl.String,
        **DTYPES,
    }
    assert rows["label"].to_list() == [0, 1, 2, 2]
    assert rows["prompt"].to_list() == [["Hi", "And?"], ['Is "it" so?'], ["café\n"], [""]]
    assert rows["response_a"].to_list() == [["Hello.", "Well."], ["Yes!"], ["- one\n- two"], [""]]
    assert rows["response_b"].to_list() == [["Go away", ""], ["No."], [], [""]]
    assert rows["prompt__null"].to_list() == [False, False, False, True]
    assert rows["response_a__null"].to_list() == [False, False, False, True]
    assert rows["response_b__null"].to_list() == [True, False, False, True]
    assert rows["model_b"].to_list() == ["palm", "gpt-4", "palm", None]


@settings(max_examples=40)
@given(raw=battle_frames())
def test_the_canonical_frame_holds_no_null_and_only_valid_text(raw: pl.DataFrame) -> None:
    battles = read_battles(raw, ARENA).collect()
    assert battles["id"].equals(raw["id"])
    assert {name: battles.schema[name] for name in DTYPES} == DTYPES
    for name in ("prompt", "response_a", "response_b"):
        assert battles[name].null_count() == 0
        assert battles[name].explode(empty_as_null=False).null_count() == 0
        assert battles[f"{name}__null"].null_count() == 0
        filled = battles.filter(~pl.col(f"{name}__null"))
        assert (
            filled[name].list.len().sum()
            == filled.select(pl.col(name).explode(empty_as_null=False).is_not_null().sum()).item()
        )


@settings(max_examples=25)
@given(raw=battle_frames())
def test_csv_parquet_and_frame_give_the_same_battles(
    tmp_path_factory: pytest.TempPathFactory, raw: pl.DataFrame
) -> None:
    folder = tmp_path_factory.mktemp("files")
    expected = read_battles(raw, ARENA).collect()
    as_text = expected.with_columns(pl.col("id").cast(pl.String))
    for path, same in (
        (folder / "battles.csv", as_text),
        (folder / "battles.parquet", expected),
        (folder / "battles.jsonl", as_text),
    ):
        assert read_battles(written(raw, path), ARENA).collect().equals(same)
        assert read_battles(str(path), ARENA).collect(engine="streaming").equals(same)
    assert read_battles(raw.to_dicts(), ARENA).collect().equals(expected)
    assert read_battles(raw.lazy(), ARENA).collect().equals(expected)


@settings(max_examples=25)
@given(raw=battle_frames())
def test_swapping_battles_twice_changes_nothing_and_once_mirrors_the_file(
    raw: pl.DataFrame,
) -> None:
    battles = read_battles(raw, ARENA).collect()
    assert swap_battles(swap_battles(battles)).equals(battles)
    mirrored = raw.rename(
        {
            "response_a": "response_b",
            "response_b": "response_a",
            "winner_model_a": "winner_model_b",
            "winner_model_b": "winner_model_a",
        }
    )
    assert read_battles(mirrored).collect().equals(swap_battles(battles))


def test_swapping_keeps_the_kind_of_frame_and_needs_no_label(raw_battles: pl.DataFrame) -> None:
    battles = read_battles(raw_battles)
    swapped = swap_battles(battles)
    assert isinstance(swapped, pl.LazyFrame)
    assert swapped.collect()["label"].to_list() == [1, 0, 2, 2]
    unlabelled = battles.drop("label", "model_a", "model_b")
    assert swap_battles(unlabelled).collect().columns == unlabelled.collect().columns
    assert set(BATTLE_PARITY.values()) == {Parity.SIDE}
    assert swap(battles.collect(), BATTLE_PARITY)["model_a"].to_list()[0] == "palm"


def test_a_test_file_has_neither_label_nor_models(raw_battles: pl.DataFrame) -> None:
    raw = raw_battles.select("id", "prompt", "response_a", "response_b")
    assert read_battles(raw, ARENA).collect().columns == ["id", *DTYPES]


def test_wsdm_is_read_by_configuration_alone(tmp_path: Path) -> None:
    raw = pl.DataFrame(
        {
            "id": ["0a9f", "1b2c"],
            "prompt": ['say "hi"', "[1, 2]"],
            "response_a": ["hi\nthere", None],
            "response_b": ["null", ""],
            "winner": ["model_b", "model_a"],
            "model_a": ["m", "n"],
            "model_b": ["n", "m"],
            "language": ["Zulu", None],
        }
    )
    for path in (tmp_path / "train.csv", tmp_path / "train.parquet"):
        battles = read_battles(written(raw, path), WSDM).collect()
        assert battles["label"].to_list() == [1, 0]
        assert battles["language"].to_list() == ["Zulu", None]
        assert battles["prompt"].to_list() == [['say "hi"'], ["[1, 2]"]]
        assert battles["response_a"].to_list() == [["hi\nthere"], [""]]
        assert battles["response_a__null"].to_list() == [False, True]
        assert battles["response_b"].to_list() == [["null"], [""]]


def test_every_role_can_be_renamed(raw_battles: pl.DataFrame) -> None:
    names = {
        "id": "key",
        "prompt": "question",
        "response_a": "left",
        "response_b": "right",
        "winner_model_a": "l",
        "winner_model_b": "r",
        "winner_tie": "t",
        "model_a": "who_l",
        "model_b": "who_r",
    }
    schema = BattleSchema(
        id="key",
        prompt="question",
        response_a="left",
        response_b="right",
        outcome=OneHotColumns("l", "r", "t"),
        model_a="who_l",
        model_b="who_r",
    )
    renamed = read_battles(raw_battles.rename(names), schema).collect()
    assert renamed.equals(read_battles(raw_battles).collect())


def test_models_and_language_are_read_only_where_asked_for(raw_battles: pl.DataFrame) -> None:
    schema = BattleSchema(model_a=None, model_b=None)
    assert "model_a" not in read_battles(raw_battles, schema).collect_schema()
    with_language = raw_battles.with_columns(language=pl.lit("en"))
    assert "language" not in read_battles(with_language).collect_schema()


@pytest.mark.parametrize("dtype", [pl.Int8, pl.Float64, pl.Boolean, pl.String])
def test_one_hot_outcomes_of_any_type(raw_battles: pl.DataFrame, dtype: pl.DataType) -> None:
    outcome = pl.col(*ARENA.outcome.names)
    raw = raw_battles.with_columns(outcome.cast(pl.Int8).cast(dtype))
    assert read_battles(raw, ARENA).collect()["label"].to_list() == [0, 1, 2, 2]


@pytest.mark.parametrize("winners", [["a", "b", "tie", "tie"], [0, 1, 2, 2]])
def test_label_columns_of_any_type(raw_battles: pl.DataFrame, winners: list[object]) -> None:
    raw = raw_battles.with_columns(pl.Series("winner", winners))
    names = [str(winners[row]) for row in range(3)]
    schema = BattleSchema(outcome=LabelColumn("winner", *names))
    assert read_battles(raw, schema).collect()["label"].to_list() == [0, 1, 2, 2]


def test_lists_are_turns_whatever_the_schema_says(raw_battles: pl.DataFrame) -> None:
    battles = read_battles(raw_battles).collect()
    lists = raw_battles.with_columns(
        prompt=pl.Series([["Hi", "And?"], ['Is "it" so?'], ["café\n"], [None]]),
        response_a=pl.Series([["Hello.", "Well."], ["Yes!"], ["- one\n- two"], None]),
        response_b=pl.Series([["Go away", None], ["No."], [], None]),
    )
    assert read_battles(lists).collect().equals(battles)
    assert read_battles(lists, BattleSchema(texts="plain")).collect().equals(battles)


@pytest.mark.parametrize("texts", ["plain", "json_list"])
def test_columns_without_a_type_of_their_own(texts: str) -> None:
    raw = pl.DataFrame({"id": [1], "prompt": [None], "response_a": [[]], "response_b": ["[]"]})
    battles = read_battles(raw, BattleSchema(texts=texts)).collect()  # type: ignore[arg-type]
    assert battles["prompt"].to_list() == [[""]]
    assert battles["prompt__null"].to_list() == [True]
    assert battles["response_a"].to_list() == [[]]
    assert battles["response_b"].to_list() == [[] if texts == "json_list" else ["[]"]]


HEADER = b"id,prompt,response_a,response_b\n"
ROW = b'1,"[""a""]","[""b""]","[""c""]"\n'


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        b"\xef\xbb\xbf" + HEADER + ROW,
        (HEADER + ROW).replace(b"\n", b"\r\n"),
        (HEADER + ROW)[:-1],
        HEADER + b'1,"[\n""a""\n]","[""b""]","[""c""]"\n',
        HEADER + b'"1","[""a""]"," [""b""]","[""c""] "\n',
        b'"id","prompt","response_a","response_b"\n' + ROW,
    ],
    ids=[
        "plain",
        "bom",
        "crlf",
        "no final line feed",
        "quoted line feed",
        "blanks",
        "quoted names",
    ],
)
def test_dialects_of_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "battles.csv"
    path.write_bytes(content)
    rows = read_battles(path).select("id", "prompt", "response_a", "response_b").collect()
    assert rows.rows() == [("1", ["a"], ["b"], ["c"])]


def test_line_ends_inside_texts_are_line_feeds_whatever_system_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "battles.csv"
    path.write_bytes(HEADER + b'1,"a\r\n\r\nb","a\nb\n"," \r "\n')
    texts = pl.col("prompt", "response_a", "response_b")
    plain = read_battles(path, BattleSchema(texts="plain")).select(texts).collect()
    assert plain.row(0) == (["a\n\nb"], ["a\nb\n"], [" \r "])
    path.write_bytes(HEADER + rb'1,"[""a\r\n\r\nb""]","[""a\nb\n""]","["" \r ""]"' + b"\n")
    assert read_battles(path, BattleSchema(texts="json_list")).select(texts).collect().equals(plain)


def test_texts_of_digits_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "battles.csv"
    path.write_bytes(HEADER + b"1,007,1e3,true\n2,8,,false\n")
    battles = read_battles(path, BattleSchema(texts="plain")).collect()
    assert battles["prompt"].to_list() == [["007"], ["8"]]
    assert battles["response_a"].to_list() == [["1e3"], [""]]


def test_a_name_with_brackets_is_a_name_and_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "battles1.csv").write_bytes(HEADER + ROW + ROW)
    path = tmp_path / "battles[1].csv"
    path.write_bytes(HEADER + ROW)
    assert read_battles(path).collect().height == 1
    read_battles(path).sink_parquet(tmp_path / "lists[1].parquet")
    assert read_battles(tmp_path / "lists[1].parquet").collect().height == 1


def test_joined_turns_and_prompt_key() -> None:
    frame = pl.DataFrame({"prompt": [["a", "b"], [], ["", ""], ["ﬁ  Ⅳ\t\n"], ["FI iv", "later"]]})
    assert frame.select(joined_turns("prompt"))["prompt"].to_list() == [
        "a\n\nb",
        "",
        "\n\n",
        "ﬁ  Ⅳ\t\n",
        "FI iv\n\nlater",
    ]
    keys = frame.select(prompt_key())["prompt"].to_list()
    assert keys == ["a", "", "", "fi iv", "fi iv"]


def test_real_battles_agree_with_a_decoder_in_plain_python(real_data: Path) -> None:
    import csv
    import json
    import re

    battles = read_battles(real_data / "arena" / "train.csv").collect()
    csv.field_size_limit(10_000_000)
    with (real_data / "arena" / "train.csv").open(encoding="utf-8", newline="") as stream:
        records = list(csv.DictReader(stream))
    assert battles["id"].to_list() == [record["id"] for record in records]
    assert battles["label"].to_list() == [
        [record[name] for name in ARENA.outcome.names].index("1") for record in records
    ]
    for name in ("prompt", "response_a", "response_b"):
        turns = [json.loads(record[name]) for record in records]
        assert battles[f"{name}__null"].to_list() == [None in cell for cell in turns]
        assert battles[name].to_list() == [
            [re.sub("[\ud800-\udfff]", "\ufffd", turn or "").replace("\r\n", "\n") for turn in cell]
            for cell in turns
        ]
