"""Budgets are kept, the last turn comes first, heads and tails survive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlab.encoder import EncoderSpec, TruncationPolicy
from featlab.encoder.tokens import SMALLEST_TURN, Tokenizer, shared_budget
from tests.featlab.encoder.conftest import VOCABULARY, WORDS

CLS, SEP = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")


def tokenizer(folder: Path, max_tokens: int, **truncation: float) -> Tokenizer:
    return Tokenizer(
        folder,
        EncoderSpec(str(folder), max_tokens=max_tokens, truncation=TruncationPolicy(**truncation)),
    )


def words(count: int, start: int = 0) -> str:
    return " ".join(WORDS[(start + i) % len(WORDS)] for i in range(count))


def numbers(text: str) -> list[int]:
    return [VOCABULARY.index(word) for word in text.split()]


def test_layout_of_a_text(modernbert_folder: Path) -> None:
    found = tokenizer(modernbert_folder, 64).texts(["the fox", ""])
    assert [ids.tolist() for ids in found.ids] == [[CLS, *numbers("the fox"), SEP], [CLS, SEP]]
    assert found.full_lengths.tolist() == found.lengths.tolist()


def test_layout_of_a_conversation(modernbert_folder: Path) -> None:
    found = tokenizer(modernbert_folder, 64).conversations([["the", "fox"]], [["a", "dog"]])
    expected = [CLS, *numbers("the"), SEP, *numbers("a"), SEP]
    expected += [*numbers("fox"), SEP, *numbers("dog"), SEP]
    assert found.ids[0].tolist() == expected
    assert found.full_lengths.tolist() == [len(expected)]


@pytest.mark.parametrize("sides", [([], []), ([""], [""]), (["the"], []), ([], ["the"])])
def test_missing_turns_count_as_empty(
    modernbert_folder: Path, sides: tuple[list[str], list[str]]
) -> None:
    found = tokenizer(modernbert_folder, 64).conversations([sides[0]], [sides[1]])
    asked = numbers(" ".join(sides[0]))
    answered = numbers(" ".join(sides[1]))
    assert found.ids[0].tolist() == [CLS, *asked, SEP, *answered, SEP]


def test_head_and_tail_are_kept(modernbert_folder: Path) -> None:
    text = words(40)
    found = tokenizer(modernbert_folder, 12, head_share=0.7).texts([text])
    ids = numbers(text)
    assert found.ids[0].tolist() == [CLS, *ids[:7], *ids[-3:], SEP]
    assert found.full_lengths[0] > len(found.ids[0])


@pytest.mark.parametrize("head_share", [0.0, 1.0])
def test_only_tail_or_only_head(modernbert_folder: Path, head_share: float) -> None:
    text = words(40)
    found = tokenizer(modernbert_folder, 12, head_share=head_share).texts([text])
    kept = numbers(text)[:10] if head_share else numbers(text)[-10:]
    assert found.ids[0].tolist() == [CLS, *kept, SEP]


def test_the_last_turn_is_first_in_line(modernbert_folder: Path) -> None:
    turns = [words(30), words(30, 5), words(10, 9)]
    answers = [words(30, 2), words(30, 7), words(10, 11)]
    found = tokenizer(modernbert_folder, 64).conversations([turns], [answers]).ids[0].tolist()
    last = [*numbers(turns[2]), SEP, *numbers(answers[2]), SEP]
    assert found[-len(last) :] == last
    # The turn before it is cut, the first one is gone.
    assert found.count(SEP) == 4
    assert len(found) == 64


def test_a_turn_too_short_to_tell_anything_is_left_out(modernbert_folder: Path) -> None:
    budget = 1 + 40 + 2 + SMALLEST_TURN
    found = tokenizer(modernbert_folder, budget).conversations(
        [[words(50), words(20)]], [[words(50), words(20)]]
    )
    assert found.ids[0].tolist().count(SEP) == 2
    assert found.full_lengths[0] > len(found.ids[0])


def test_equal_texts_give_equal_tokens_whatever_stands_beside_them(
    modernbert_folder: Path,
) -> None:
    reader = tokenizer(modernbert_folder, 64)
    alone = reader.texts([words(9)]).ids[0]
    among = reader.texts([words(3), words(9), "", words(9)]).ids
    np.testing.assert_array_equal(among[1], alone)
    np.testing.assert_array_equal(among[3], alone)


def test_unicode_and_unknown_words(modernbert_folder: Path) -> None:
    found = tokenizer(modernbert_folder, 64).texts(["\U0001f44d \ufffd 日本語", "\x00"])
    assert all(len(ids) > 2 for ids in found.ids)


def test_lengths_before_and_after_the_cut(modernbert_folder: Path) -> None:
    found = tokenizer(modernbert_folder, 64).texts([words(9000), words(100), words(4), ""])
    assert found.full_lengths.tolist() == [9002, 102, 6, 2]
    assert found.lengths.tolist() == [64, 64, 6, 2]


@given(
    prompt=st.integers(0, 500),
    response=st.integers(0, 500),
    budget=st.integers(0, 600),
    share=st.floats(0, 1),
)
def test_a_budget_is_used_up_before_anything_is_cut(
    prompt: int, response: int, budget: int, share: float
) -> None:
    for_prompt, for_response = shared_budget(prompt, response, budget, share)
    assert 0 <= for_prompt <= prompt
    assert 0 <= for_response <= response
    assert for_prompt + for_response == min(budget, prompt + response)
    own = round(budget * share)
    assert for_prompt >= min(prompt, own)
    assert for_response >= min(response, budget - own)


@given(
    turns=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=5),
    max_tokens=st.integers(8, 80),
)
def test_no_sequence_is_longer_than_allowed(
    modernbert_folder: Path, turns: list[tuple[int, int]], max_tokens: int
) -> None:
    reader = tokenizer(modernbert_folder, max_tokens)
    found = reader.conversations(
        [[words(asked) for asked, _ in turns]], [[words(answered) for _, answered in turns]]
    )
    length = len(found.ids[0])
    assert length <= max_tokens
    if found.full_lengths[0] <= max_tokens:
        assert length == found.full_lengths[0]
