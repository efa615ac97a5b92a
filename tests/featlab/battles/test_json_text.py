"""Decoding gives what Python's json module gives, or refuses; never anything else."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import decode_json_lists
from featlab.errors import BattleError
from tests.strategies import turns

SURROGATE = re.compile("[\ud800-\udfff]")
REFUSED = object()


def decoded(*cells: str | None) -> list[list[str | None] | None]:
    frame = pl.LazyFrame({"x": pl.Series(cells, dtype=pl.String)})
    return decode_json_lists(frame, ["x"]).collect()["x"].to_list()


def reference(cell: str | None) -> object:
    """What a cell must become, one at a time and in plain Python."""
    if cell is None or not cell.strip(" \t\r\n"):
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        return REFUSED
    if value is None:
        return None
    if not isinstance(value, list) or any(isinstance(turn, list | dict) for turn in value):
        return REFUSED
    return [None if turn is None else written(turn) for turn in value]


def written(turn: str | float | bool) -> str:
    if isinstance(turn, str):
        return SURROGATE.sub("\ufffd", turn)
    return json.dumps(turn)


PIECES = [
    *'[]{}:," \n\\uE1',
    "null",
    "true",
    "-1.5",
    r"\\",
    r"\"",
    r"\/",
    r"\n",
    r"\x",
    r"\u",
    r"\ud83d",
    r"\uD83D",
    r"\udc4d",
    r"\uDC4D",
    r"\uDBff",
    r"\u0000",
    r"\u0001u",
    r"\u005c",
    "d83d",
    "\x00",
    "\x01",
    "\x01ud83d",
    "\ufeff",
    "\u2028",
    "é",
    "👍",
    '"a"',
    '["a"]',
    '","',
    '["',
    '"]',
]
soup = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
quoted_soup = st.lists(soup.map('"{}"'.format), max_size=3).map(lambda x: f"[{','.join(x)}]")
lists = st.builds(json.dumps, turns, ensure_ascii=st.booleans())
cells = st.one_of(st.none(), lists, quoted_soup, soup)


@settings(max_examples=400)
@given(st.lists(cells, min_size=1, max_size=4))
def test_a_column_decodes_as_each_cell_does_alone_or_is_refused(column: list[str | None]) -> None:
    expected = [reference(cell) for cell in column]
    try:
        result = decoded(*column)
    except BattleError:
        assert REFUSED in expected
    else:
        assert result == expected


@settings(max_examples=100)
@given(st.lists(turns, min_size=1, max_size=6), st.booleans())
def test_lists_of_strings_come_back_as_they_were(
    column: list[list[str | None]], ensure_ascii: bool
) -> None:
    encoded = [json.dumps(cell, ensure_ascii=ensure_ascii) for cell in column]
    assert decoded(*encoded) == column


@pytest.mark.parametrize(
    ("cell", "turn"),
    [
        (r'["\ud83d\udc4d"]', "👍"),
        (r'["\uD83D\uDC4D"]', "👍"),
        (r'["\ud83D\uDc4d"]', "👍"),
        (r'["\ud83d"]', "\ufffd"),
        (r'["\udc4d"]', "\ufffd"),
        (r'["\ud83d\ud83d\udc4d\udc4d"]', "\ufffd👍\ufffd"),
        (r'["\udc4d\ud83d"]', "\ufffd\ufffd"),
        (r'["\ud83d \udc4d"]', "\ufffd \ufffd"),
        (r'["\\ud83d"]', r"\ud83d"),
        (r'["\\\ud83d"]', "\\\ufffd"),
        (r'["\\\\ud83d"]', r"\\ud83d"),
        (r'["\\\ud83d\udc4d"]', "\\👍"),
        (r'["\ud83d\\udc4d"]', "\ufffd\\udc4d"),
        (r'["\u0000"]', "\x00"),
        (r'["\u0001\ud83d"]', "\x01\ufffd"),
        (r'["\u005cud83d"]', r"\ud83d"),
        ('["${1}$1"]', "${1}$1"),
        ('["\u2028\ufffe\uffff\x7f"]', "\u2028\ufffe\uffff\x7f"),
    ],
)
def test_escapes(cell: str, turn: str) -> None:
    assert decoded(cell) == [[turn]]


@pytest.mark.parametrize("cell", [None, "", " ", "\t\r\n", "null", " null "])
def test_cells_without_turns_are_null_and_keep_their_row(cell: str | None) -> None:
    assert decoded('["before"]', cell, '["after"]') == [["before"], None, ["after"]]


def test_white_space_around_a_list_is_no_part_of_it() -> None:
    assert decoded(' [ "a" ,\n"b" ] ', "\t[ ]\r\n") == [["a", "b"], []]


@pytest.mark.parametrize(
    "cell",
    [
        '["a"],["b"]',
        '["a"]["b"]',
        '["a"',
        '"a"]',
        "plain",
        '"a"',
        "1",
        "true",
        '{"a": "b"}',
        '[{"a": "b"}]',
        '[["a"]]',
        "['a']",
        '["a",]',
        '["a\nb"]',
        '["a\x01b"]',
        '["\x01ud83d"]',
        '["\\ud83d\x01n"]',
        '["\x00"]',
        r'["\x"]',
        r'["\u12"]',
        "[NaN]",
        "[1e999]",
        '["a"],1',
        '["a", "]',
        '\ufeff["a"]',
        "[" * 100_000 + "]" * 100_000,
    ],
)
@pytest.mark.parametrize("neighbours", [0, 2])
def test_what_is_no_list_of_strings_is_refused(cell: str, neighbours: int) -> None:
    with pytest.raises(BattleError):
        decoded(cell, *['["a"]'] * neighbours)


@pytest.mark.parametrize(
    "column",
    [
        ['["a"', '"b"]', '["c"],["d"]'],
        ['["a', 'b"]', '["c"],["d"]'],
        ['["x]', '[","y"]', '["c"],["d"]'],
        ['[["a"]', '["b"]]', '["c"],["d"]'],
        ["[1]", "],["],
    ],
)
def test_texts_cannot_move_to_a_neighbouring_battle(column: list[str]) -> None:
    with pytest.raises(BattleError):
        decoded(*column)


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize(("size", "where"), [(1, 0), (2, 1), (30_000, 20_000)])
def test_a_cell_of_two_lists_is_refused_wherever_it_stands(
    engine: Literal["in-memory", "streaming"], size: int, where: int
) -> None:
    cells = ['["a"]'] * size
    cells[where] = '["b"],["c"]'
    query = decode_json_lists(pl.LazyFrame({"x": cells, "y": cells}), ["x", "y"]).select("x")
    with pytest.raises(BattleError):
        query.collect(engine=engine)


def test_numbers_and_truth_values_in_a_list_are_the_texts_they_are_written_as() -> None:
    cells = ["[1]", '["a", 2.5, null]', "[true, false]", "[-12345678901234567890123]"]
    assert decoded(*cells) == [
        ["1"],
        ["a", "2.5", None],
        ["true", "false"],
        ["-12345678901234567890123"],
    ]


def test_a_megabyte_in_one_turn_and_many_turns() -> None:
    long = '0123456789é👍\n"\\' * 70_000
    many = [str(number) for number in range(20_000)]
    assert decoded(json.dumps([long]), json.dumps(many)) == [[long], many]


def test_streaming_decodes_the_same_across_its_batches() -> None:
    turn_lists = [[f"{row}", "\ud83d", None][: row % 4] for row in range(30_000)]
    frame = pl.LazyFrame({"x": [json.dumps(cell) for cell in turn_lists]})
    query = decode_json_lists(frame, ["x"])
    streamed = query.collect(engine="streaming")
    assert streamed.equals(query.collect())
    assert all(len(a) != len(b) for a, b in pairwise(streamed["x"][:8].to_list()))
    assert streamed["x"][29_999].to_list() == ["29999", "\ufffd", None]


def test_other_columns_and_no_columns_are_left_alone() -> None:
    frame = pl.LazyFrame({"id": [1], "x": ['["a"]'], "y": ['["b"]']})
    assert decode_json_lists(frame, []).collect().row(0) == (1, '["a"]', '["b"]')
    assert decode_json_lists(frame, ["y"]).collect().row(0) == (1, '["a"]', ["b"])
