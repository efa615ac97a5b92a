"""How a file says who won: words, numbers, and which column is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import (
    LabelColumn,
    check_battles,
    read_battles,
    recognise,
    settled,
)
from featlab.errors import BattleError

WORDS = {
    0: ["model_a", "A", "Response A", "left", "0", " 0 ", "0.0"],
    1: ["model_b", "b", "response-b", "right", "1", "1.00", "+1"],
    2: ["tie", "Tie (bothbad)", "both_bad", "tie (both bad)", "2", "bothbad", "neither", "Draw"],
}


@settings(max_examples=60)
@given(
    drawn=st.lists(
        st.sampled_from([(word, label) for label, words in WORDS.items() for word in words]),
        min_size=1,
    )
)
def test_words_for_outcomes(drawn: list[tuple[str, int]]) -> None:
    rows = [{"prompt": "q", "response_a": "x", "response_b": "y", "winner": w} for w, _ in drawn]
    schema = recognise(rows).schema
    assert read_battles(rows, schema).collect()["label"].to_list() == [label for _, label in drawn]


@pytest.mark.parametrize("word", ["-1", -1, -1.0, "- 1", "-0.0"])
def test_the_sign_of_a_number_is_no_hyphen(word: Any) -> None:
    rows = [{"id": "x", "prompt": "q", "response_a": "x", "response_b": "y", "winner": word}]
    with pytest.raises(BattleError, match=r"not known: '?-"):
        check_battles(rows)


def test_own_words_replace_the_known_ones_and_unknown_ones_are_quoted() -> None:
    rows = [
        {"id": n, "prompt": "q", "response_a": "x", "response_b": "y", "winner": word}
        for n, word in enumerate(["gauche", "droite", "sais pas", None])
    ]
    outcome = LabelColumn("winner", a="gauche", b=("droite",))
    own = recognise(rows, given={"outcome": outcome}).schema
    with pytest.raises(BattleError, match="not known: 'sais pas', nothing") as caught:
        check_battles(rows, own)
    assert caught.value.rows == (2, 3)
    assert check_battles(rows[:2], own) == 2


def test_bare_numbers_are_said_and_one_and_two_are_asked_about() -> None:
    texts = {"prompt": ["a", "b"], "response_1": ["x", "y"], "response_2": ["x", "y"]}
    known = pl.DataFrame({**texts, "preference": [0, 1]})
    assert any("0 counts as a" in said for said in settled(known, recognise(known).schema)[1])
    doubtful = pl.DataFrame({**texts, "preference": [1, 2]})
    with pytest.raises(BattleError, match="1 may be the first response or the second"):
        check_battles(doubtful, require_outcome=True)
    said = replace(recognise(doubtful).schema, outcome=LabelColumn("preference", "1", "2"))
    assert check_battles(doubtful, said, require_outcome=True) == 2
    assert read_battles(doubtful, said).collect()["label"].to_list() == [0, 1]


def test_which_of_two_ways_to_state_an_outcome_is_read_is_said() -> None:
    outcomes = {"winner_model_a": [1], "winner_model_b": [0], "winner_tie": [0]}
    frame = pl.DataFrame({"prompt": "a", "response_a": "b", "response_b": "c", **outcomes})
    reason = recognise(frame.with_columns(winner=pl.lit("model_b"))).reason
    assert reason.endswith("winner_model_a, winner_model_b, winner_tie say who won")
