"""Ids of JSON come out as they are written, whatever number they look like."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from featlab.battles import check_battles, read_battles
from featlab.errors import BattleError

numbers = st.one_of(
    st.integers(-(10**45), 10**45).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?\Z"),
)
ids = st.one_of(numbers, numbers.map(json.dumps), st.text("a0.\n é", max_size=5).map(json.dumps))


def line(name: str, number: str, text: str) -> str:
    """A battle of which another part has an id too, and fractions stand elsewhere."""
    texts = {"prompt": text, "response_a": "a", "response_b": "b", "x": 1.50, "of": {"id": 2.50}}
    return f'{{"{name}": {number}, {json.dumps(texts)[1:]}'


@settings(max_examples=120)
@given(
    tokens=st.lists(ids, min_size=1, max_size=5),
    ending=st.sampled_from([".jsonl", ".jsonl.gz", ".json", ".ndjson"]),
    name=st.sampled_from(["id", "question_id"]),
)
@example(tokens=["1.10", "2"], ending=".jsonl", name="id")
@example(tokens=["1" * 40, "-0"], ending=".jsonl", name="id")
@example(tokens=["1e5", '"007"'], ending=".json", name="id")
def test_ids_are_the_text_that_is_written(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[str], ending: str, name: str
) -> None:
    path = tmp_path_factory.mktemp("json") / f"battles{ending}"
    lines = [line(name, token, "Hi") for token in tokens]
    content = (f"[{', '.join(lines)}]" if ending == ".json" else "\n".join(lines)).encode()
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    battles = read_battles(path).collect()
    expected = [json.loads(token, parse_int=str, parse_float=str) for token in tokens]
    assert battles["id"].cast(pl.String).to_list() == expected
    assert battles["prompt"].to_list() == [["Hi"]] * len(tokens)


@pytest.mark.parametrize("broken", ['{"id": 1.10', "[1]", "7", '{"id": 1.1, "x": NaNa}'])
def test_a_broken_line_is_named(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "battles.jsonl"
    path.write_text(f"{line('id', '1.10', 'Hi')}\n\n{broken}\n")
    with pytest.raises(BattleError, match=r"line 3 is no JSON") as caught:
        check_battles(path)
    assert str(path) in str(caught.value)


def row(id_: str, text: object) -> str:
    return json.dumps({"id": id_, "prompt": text, "response_a": "a", "response_b": "b"})


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_blank_lines_are_no_rows_from_wherever_it_is_read(
    tmp_path: Path, end: str, blank: str
) -> None:
    path = tmp_path / "battles.jsonl"
    lines = [row("1", "x"), blank, row("2", "x"), blank, blank, row("3", "x"), blank]
    path.write_bytes((end.join(lines) + end).encode())
    battles = read_battles(path)
    for start in range(5):
        assert battles.slice(start, 9).collect()["id"].to_list() == ["1", "2", "3"][start:]


def test_half_a_pair_of_surrogates_and_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "battles.jsonl"
    texts = ["\ud83d x", "\ud83d\udc4d", r"\ud83d", "\0"]
    path.write_bytes("\ufeff".encode() + "\n".join(row(text[-1], text) for text in texts).encode())
    read = read_battles(path).collect()["prompt"].list.first().to_list()
    assert read == ["\ufffd x", "👍", r"\ud83d", "\0"]


@pytest.mark.parametrize("first", [0, 1])
def test_contents_that_are_texts_here_and_parts_there(tmp_path: Path, first: int) -> None:
    path = tmp_path / "battles.jsonl"
    talks = [
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
        ],
    ]
    rows = [
        {"id": str(n), "conversation_a": talks[n == first], "conversation_b": talks[n != first]}
        for n in range(2)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    battles = read_battles(path).collect()
    assert battles["prompt"].to_list() == [["Hi"]] * 2
    assert battles["response_a"].to_list() == battles["response_b"].to_list() == [["Hello."]] * 2


@pytest.mark.parametrize("content", ["\n\n", "[]", "[\n]", " "])
@pytest.mark.parametrize("name", ["battles.jsonl", "battles.json"])
def test_a_file_without_battles_says_so(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BattleError, match=r"no battle|no JSON object") as caught:
        check_battles(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("line_", ["{", '{"id": NaN}', "id,prompt", '{"id": "1", "pro'])
def test_the_line_that_is_no_json_is_named(tmp_path: Path, line_: str) -> None:
    path = tmp_path / "battles.jsonl"
    path.write_text(f"{row('1', 'x')}\n{line_}\n")
    with pytest.raises(BattleError, match="line 2 is no JSON"):
        check_battles(path)
