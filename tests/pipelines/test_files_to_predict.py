"""Whatever a test file looks like, `submit` gives the ids that it holds, or one sentence."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.pipelines.conftest import predict, train

HEADER = "id,prompt,response_a,response_b\n"
CELLS = '"[""Hi""]","[""Yes""]","[""No""]"\n'
JSON_ROW = {"prompt": '["Hi"]', "response_a": '["Yes"]', "response_b": '["No"]'}


def rows(*ids: object) -> str:
    return HEADER + "".join(f"{name},{CELLS}" for name in ids)


def lines(*ids: object, end: str = "\n") -> str:
    return "".join(json.dumps({"id": name, **JSON_ROW}) + end for name in ids)


def table(*ids: Any, dtype: Any = None, **changes: Any) -> pl.DataFrame:
    columns = pl.DataFrame({"id": pl.Series(ids, dtype=dtype)})
    texts = {name: pl.lit(text) for name, text in JSON_ROW.items()}
    return columns.with_columns(**{**texts, **changes})


def talk(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "Hi"}, *messages]


ANSWER = {"role": "assistant", "content": "Yes"}
DAY = datetime.date(2026, 1, 2)
READ: list[tuple[str, Any, list[str]]] = [
    ("bom.csv", "\ufeff" + rows(1), ["1"]),
    ("crlf.csv", rows(1, 2).replace("\n", "\r\n"), ["1", "2"]),
    ("blank.csv", rows(1) + "\n\n", ["1"]),
    ("spaces.csv", rows(" 1 ", "1"), [" 1 ", "1"]),
    ("formula.csv", rows("=1+1", "@x"), ["=1+1", "@x"]),
    ("quoted header.csv", '"id","prompt","response_a","response_b"\n1,' + CELLS, ["1"]),
    ("nulls.csv", HEADER + "1,,,\n", ["1"]),
    ("UPPER.CSV", rows(1), ["1"]),
    ("packed.csv", gzip.compress(rows("007").encode()), ["007"]),
    ("plain.csv.gz", rows("007"), ["007"]),
    ("two parts.csv.gz", gzip.compress(rows(1).encode()) + gzip.compress(rows(2)[32:].encode()), 2),
    ("parquet.csv", table("a"), ["a"]),
    ("bom.jsonl", "\ufeff" + lines(1), ["1"]),
    ("crlf.jsonl", lines(1, end="\r\n\r\n") + lines(2, end="\r\n"), ["1", "2"]),
    ("list.json", json.dumps([{"id": 1, **JSON_ROW}], indent=1), ["1"]),
    ("surrogate.jsonl", lines("\ud83d"), ["\ufffd"]),
    ("spaces.csv", HEADER.replace(",", ", ") + "1," + CELLS, ["1"]),
    ("decimal.parquet", table(Decimal("1.10"), Decimal("2.00")), ["1.10", "2.00"]),
    ("float.parquet", table(1.0, 2.5), ["1.0", "2.5"]),
    ("date.parquet", table(DAY), ["2026-01-02"]),
    ("unsigned.parquet", table(2**64 - 1, dtype=pl.UInt64), [str(2**64 - 1)]),
    ("categories.parquet", table("b", "a", dtype=pl.Categorical), ["b", "a"]),
    ("null prompts.parquet", table("a", prompt=pl.lit(None)), ["a"]),
    ("null answers.parquet", table("a", response_b=pl.lit(None, pl.String)), ["a"]),
    (
        "keys that are missing.jsonl",
        json.dumps(
            {
                "id": "a",
                "conversation_a": talk(ANSWER),
                "conversation_b": talk({"role": "assistant"}, {"content": "x"}),
            }
        ),
        ["a"],
    ),
]
REFUSED: list[tuple[str, Any, str]] = [
    ("utf16.csv", rows(1).encode("utf-16"), "header is not UTF-8"),
    ("latin.csv", rows(1).replace("Hi", "é").encode("latin-1"), "line 2 is not UTF-8"),
    ("empty.csv", "", "file is empty"),
    ("header.csv", HEADER, "no battle"),
    ("twice.csv", HEADER.replace("response_a", "prompt") + "1," + CELLS, "stands twice"),
    ("no id.csv", rows(""), "'id' is null"),
    ("same id.csv", rows(1, 1), "duplicates .first ids: 1"),
    ("cut.csv.gz", gzip.compress(rows(*range(500)).encode())[:-12], "cannot be unpacked"),
    ("cut.jsonl", lines(1) + lines(2)[:30], "line 2 is no JSON"),
    ("csv.jsonl", rows(1), "line 1 is no JSON"),
    ("csv.parquet", rows(1), "no parquet file"),
    ("blank.jsonl", "\n\n", "no battle"),
    ("bool.parquet", table(True, False), "'id' holds Boolean"),
    ("duration.parquet", table(datetime.timedelta(1)), "'id' holds Duration"),
    ("struct.parquet", table({"oid": "1"}), "'id' holds Struct"),
    ("nan.parquet", table(1.0, float("nan")), "null .*rows 2"),
    ("binary.parquet", table("a", prompt=pl.lit(b"Hi")), "'prompt' holds Binary"),
    ("empty.parquet", table("a").head(0), "no battle"),
    ("notes.txt", rows(1), "neither .csv"),
    (
        "no roles.parquet",
        pl.DataFrame({"id": "a", "conversation_a": [[{"content": "x"}]], "conversation_b": "x"}),
        "'conversation_a' holds List",
    ),
]


@pytest.fixture(scope="module")
def run(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest run there is."""
    folder = tmp_path_factory.mktemp("small") / "run"
    least = ("--signals", "text", "--families", "newlines", "--trials", "1", "--fold-repeats", "0")
    train(generated, folder, *least)
    return folder


def written(path: Path, content: Any) -> Path:
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("name", "content", "ids"), READ, ids=[case[0] for case in READ])
def test_ids_come_out_as_they_stand_there(
    name: str, content: Any, ids: Any, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    predict(run, written(tmp_path / name, content), out)
    with out.open(encoding="utf-8", newline="") as stream:
        found = [row["id"] for row in csv.DictReader(stream)]
    assert found == ids or len(found) == ids


@pytest.mark.parametrize(("name", "content", "said"), REFUSED, ids=[case[0] for case in REFUSED])
def test_anything_else_is_one_sentence(
    name: str,
    content: Any,
    said: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = written(tmp_path / name, content), tmp_path / "out.csv"
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        predict(run, path, out)
    message = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2
    assert message.startswith(f"error: {path}: ")
    assert pl.Series([message]).str.contains(said).item(), message
    assert not out.exists()
