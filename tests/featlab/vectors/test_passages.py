from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlab.errors import FeatureError
from featlab.vectors.passages import Conversations, Texts

turn = st.text(st.sampled_from("a1 ,/0é\n🙂"), max_size=4)
turns = st.lists(turn, max_size=3)
conversation = st.tuples(turns, turns)


def conversations(rows: list[tuple[list[str], list[str]]]) -> Conversations:
    return Conversations(
        *(pl.Series([row[side] for row in rows], dtype=pl.List(pl.String)) for side in (0, 1))
    )


@given(st.lists(turn, min_size=1, max_size=12))
def test_texts_have_the_same_key_where_they_are_the_same(texts: list[str]) -> None:
    keys = Texts(pl.Series(texts)).keys().tolist()
    assert len(set(zip(texts, keys, strict=True))) == len(set(texts)) == len(set(keys))


@given(st.lists(conversation, min_size=1, max_size=12))
def test_conversations_have_the_same_key_where_they_are_the_same(
    rows: list[tuple[list[str], list[str]]],
) -> None:
    keys = conversations(rows).keys().tolist()
    distinct = set(map(repr, rows))
    assert len(set(zip(map(repr, rows), keys, strict=True))) == len(distinct) == len(set(keys))


@given(st.lists(conversation, min_size=1, max_size=12), st.data())
def test_contents_and_sizes_are_those_of_the_rows(
    rows: list[tuple[list[str], list[str]]], data: st.DataObject
) -> None:
    passages = conversations(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5))
    assert passages.items(pl.Series(chosen, dtype=pl.Int64).to_numpy()) == [
        rows[row] for row in chosen
    ]
    assert passages.sizes().tolist() == [
        sum(len(turn.encode()) for side in row for turn in side) for row in rows
    ]


def test_a_text_and_a_conversation_of_the_same_words_differ() -> None:
    text = Texts(pl.Series(["a"])).keys()
    assert text[0] != conversations([(["a"], [])]).keys()[0]


def test_a_key_is_the_same_in_any_chunk_and_any_column() -> None:
    texts = [f"text {row % 9000}" for row in range(20_000)]
    keys = Texts(pl.Series("x", texts)).keys()
    again = Texts(pl.Series("y", texts[::-1])).keys()[::-1]
    assert (keys == again).all()
    assert len(set(keys.tolist())) == 9000


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["a", "b"])])
def test_any_column_of_text_is_read_as_text(dtype: pl.DataType) -> None:
    found = Texts(pl.Series(["a", None, "b"], dtype=dtype))
    assert found.column.to_list() == ["a", "", "b"]


def test_nulls_are_empty() -> None:
    lists = pl.Series([["a", None], None, [], [None]], dtype=pl.List(pl.String))
    assert Texts(lists).column.to_list() == ["a\n\n", "", "", ""]
    assert Texts(pl.Series([None, None])).column.to_list() == ["", ""]
    both = Conversations(lists, pl.Series(["x", None, "y", ""]))
    assert both.prompts.to_list() == [["a", ""], [], [], [""]]
    assert both.responses.to_list() == [["x"], [""], ["y"], [""]]


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(FeatureError, match="'stars' is Int64"):
        Texts(pl.Series("stars", [1, 2]))
    with pytest.raises(FeatureError, match="'stars' is Int64"):
        Conversations(pl.Series("prompt", ["a"]), pl.Series("stars", [1]))
    with pytest.raises(FeatureError, match="2 prompts and 1 responses"):
        Conversations(pl.Series(["a", "b"]), pl.Series(["a"]))
