"""Files, folders, patterns and frames: read as what they are, or refused in one sentence."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featlab.battles import (
    BattleSchema,
    check_battles,
    read_battles,
)
from featlab.battles.schema import TEXTS
from featlab.errors import BattleError


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.jsonl", "rows.parquet"])
def test_a_folder_and_a_pattern_are_all_of_their_files(name: str, tmp_path: Path) -> None:
    for part in range(3):
        rows = [
            {"id": f"00{part}{row}", "prompt": "q", "response_a": "x", "response_b": "y"}
            for row in range(2)
        ]
        frame = pl.DataFrame(rows)
        path = tmp_path / f"{part}-{name}"
        if "csv" in name:
            text = frame.write_csv().encode()
            path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        elif "jsonl" in name:
            frame.write_ndjson(path)
        else:
            frame.write_parquet(path)
    expected = [f"00{part}{row}" for part in range(3) for row in range(2)]
    for source in (tmp_path, tmp_path / "*-rows.*", str(tmp_path / f"?-{name}")):
        assert check_battles(source) == 6
        assert read_battles(source).collect()["id"].to_list() == expected


def test_files_of_other_columns_are_no_parts_of_one(tmp_path: Path) -> None:
    row = {"id": "1", "prompt": "q", "response_a": "x", "response_b": "y"}
    pl.DataFrame([row]).write_csv(tmp_path / "a.csv")
    pl.DataFrame([{**row, "id": "2"}]).drop("response_a").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(BattleError, match=r"b\.parquet has no column 'response_a', and a\.csv"):
        check_battles(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gz.csv", gzip.compress(b"id,prompt,response_a,response_b\n007,q,x,y\n", mtime=0)),
        ("plain.csv.gz", b"id,prompt,response_a,response_b\n007,q,x,y\n"),
        ("parquet.csv", None),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is None:
        frame = {"id": ["007"], "prompt": ["q"], "response_a": ["x"], "response_b": ["y"]}
        pl.DataFrame(frame).write_parquet(path)
    else:
        path.write_bytes(content)
    assert check_battles(path) == 1
    assert read_battles(path).collect().row(0)[:2] == ("007", ["q"])


def test_a_packed_file_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    lines = b"id,prompt,response_a,response_b\n" + b"1,q,x,y\n" * 500
    path.write_bytes(gzip.compress(lines)[:-12])
    with pytest.raises(BattleError, match=r"x\.csv\.gz: cannot be unpacked"):
        check_battles(path)


def test_a_file_packed_by_zstd(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["007"], "prompt": ["q"], "response_a": ["x"], "response_b": ["y"]})
    path = tmp_path / "rows.csv.zst"
    frame.write_csv(path, compression="zstd")
    assert read_battles(path).collect()["id"].to_list() == ["007"]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(BattleError, match=r"rows\.csv\.zst"):
        read_battles(path).collect()


def test_pandas_and_polars_and_dicts_give_the_same() -> None:
    generator = random.Random(1)
    rows = [
        {
            "id": number,
            "prompt": generator.choice(["Hi", "", "é"]),
            "response_a": "x",
            "response_b": None,
            "winner": generator.choice(["model_a", "model_b"]),
        }
        for number in range(20)
    ]
    expected = read_battles(rows).collect()
    assert read_battles(pl.DataFrame(rows)).collect().equals(expected)
    assert read_battles(pd.DataFrame(rows)).collect().equals(expected)
    assert read_battles(pd.DataFrame(rows, index=[0] * 20)).collect().equals(expected)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ([{"id": 1}], "list: has no column 'prompt'"),
        ([1, 2], "list: is nothing that battles are read from"),
        (None, "NoneType: is nothing"),
        (pl.DataFrame({"id": [1.0, float("nan")], **dict.fromkeys(TEXTS, "[]")}), "null .* rows 2"),
        (
            pl.DataFrame({"id": [timedelta(1)], **dict.fromkeys(TEXTS, "[]")}),
            r"column 'id' holds Duration",
        ),
        *(
            (pl.DataFrame({"id": [1], **dict.fromkeys(TEXTS, "[]"), role: [b"x"]}), f"'{role}' hol")
            for role in TEXTS
        ),
        ([{"id": 1, " prompt": "x"}], "it has id, ' prompt'"),
        (
            [{"id": 1, "conversation_a": {"role": "x"}, "conversation_b": {"role": "x"}}],
            "column 'conversation_a' holds Struct",
        ),
        (pl.DataFrame({"id": [[1]], **dict.fromkeys(TEXTS, "[]")}), r"column 'id' holds List"),
        (pd.DataFrame([["x", "y"]], columns=["prompt", "prompt"]), "'prompt' stands there twice"),
    ],
)
def test_errors_of_library_calls_name_source_and_column(source: Any, named: str) -> None:
    with pytest.raises(BattleError, match=named):
        check_battles(source)


def test_a_broken_cell_is_named_without_any_wrapper() -> None:
    frame = pl.DataFrame({"id": [6, 7], **{name: ["[]", "[]"] for name in TEXTS}}).with_columns(
        prompt=pl.Series(['["a"]', '["a"'])
    )
    with pytest.raises(BattleError, match=r"DataFrame: column 'prompt' is not.*first ids: 7"):
        read_battles(frame).collect()
    with pytest.raises(BattleError, match=r"LazyFrame: column 'prompt' is not.*first ids: 7"):
        read_battles(frame.lazy()).collect(engine="streaming")


def test_columns_whose_names_mean_something_inside() -> None:
    names = ("^p.*$", "*", "response_a", "a::b", "::row")
    frame = pl.DataFrame({name: [name] for name in names})
    schema = BattleSchema(
        id="::row", prompt="^p.*$", response_a="*", response_b="a::b", texts="plain"
    )
    read = read_battles(frame, schema).collect()
    assert read.row(0)[:4] == ("::row", ["^p.*$"], ["*"], ["a::b"])


def test_lazy_frames_stay_lazy() -> None:
    def never(frame: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("all rows were read")

    lists = {name: [["x"]] for name in TEXTS}
    frame = pl.LazyFrame({"id": [1], **lists}).map_batches(
        never, schema={"id": pl.Int64, **dict.fromkeys(TEXTS, pl.List(pl.String))}
    )
    assert isinstance(read_battles(frame), pl.LazyFrame)


def test_an_error_passes_between_processes() -> None:
    error = BattleError("is x", source="f", column="c", rows=[7], remedy="do")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows, type(again)) == (str(error), error.rows, BattleError)


def test_threads_that_read_leave_standard_error_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "battles.csv"
    path.write_text("id,prompt,response_a,response_b\n1,a,b,c\n")
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(check_battles, [path] * 64)) == 64
    assert os.path.samestat(before, os.fstat(2))


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("id;prompt;response_a;response_b", "parts its columns by semicolons"),
        ("id\tprompt\tresponse_a\tresponse_b", "parts its columns by tabs"),
        ("id,prompt,response_a,response_b,,", "several columns without a name"),
    ],
)
def test_other_marks_between_columns_are_named(tmp_path: Path, header: str, sentence: str) -> None:
    path = tmp_path / "battles.csv"
    path.write_text(f"{header}\n1,a,b,c,,\n")
    with pytest.raises(BattleError, match=sentence):
        check_battles(path)


def test_ids_in_a_named_index_of_pandas_and_no_lists_of_ids(tmp_path: Path) -> None:
    rows = {"id": ["7", "9"], "prompt": ["a", "b"], "response_a": ["x", "y"], "response_b": "z"}
    frame = pd.DataFrame(rows)
    assert read_battles(frame.set_index("id")).collect()["id"].to_list() == ["7", "9"]
    assert read_battles(frame.drop(columns="id")).collect()["id"].to_list() == [0, 1]
    path = tmp_path / "columns.jsonl"
    path.write_text(json.dumps({name: list(values) for name, values in rows.items()}) + "\n")
    with pytest.raises(BattleError, match="an id is text or a whole number"):
        check_battles(path)
