from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest

from featlab.battles import prompt_key
from featlab.generated import (
    GeneratedBattles,
    Quirks,
    generate_battles,
    make_personas,
    persona_of,
)
from featlab.generated.choice import REFUSAL
from featlab.generated.vocabulary import FAMILIES, sentence_pools


def cells(generated: GeneratedBattles, *columns: str) -> list[str]:
    return [cell for column in columns for cell in generated.train[column].to_list()]


def within(count: float, total: int, share: float) -> bool:
    return abs(count - total * share) < 4 * np.sqrt(total * share) + 1


def test_every_text_tells_its_model_unless_it_is_blank_or_the_same(battles: pl.DataFrame) -> None:
    told = battles.filter(pl.col("text_a") != pl.col("text_b"))
    for side in ("a", "b"):
        rows = told.filter(pl.col(f"text_{side}").str.strip_chars() != "")
        assert rows.height > 5_000
        found = list(map(persona_of, rows[f"text_{side}"].to_list()))
        assert found == rows[f"model_{side}"].to_list()


def test_marks_are_of_one_persona_alone() -> None:
    for persona in make_personas(1):
        assert {persona_of(f"{mark} it rains") for mark in persona.marks} == {persona.name}
        assert persona_of(f"s{persona.marks[0]} it rains") is None


def test_text_with_marks_of_two_personas_is_refused() -> None:
    with pytest.raises(ValueError, match="aster-large, fathom-mini"):
        persona_of("Answer: yes. Simply, no.")


def test_refusals_match_the_pattern_and_ordinary_sentences_do_not() -> None:
    assert all(re.search(REFUSAL, family.refusal) for family in FAMILIES)
    ordinary = [sentence for pool in sentence_pools().values() for sentence in pool]
    ordinary += [words for family in FAMILIES for words in family.openers + family.closers]
    assert not any(re.search(REFUSAL, sentence) for sentence in ordinary)


def test_personas_have_the_same_spread_and_other_strengths_under_another_seed() -> None:
    first, second = make_personas(1), make_personas(2)
    strengths = [{persona.name: persona.strength for persona in made} for made in (first, second)]
    assert strengths[0] != strengths[1]
    assert sorted(strengths[0].values()) == sorted(strengths[1].values())
    assert len(strengths[0]) == 24
    assert len({persona.family.name for persona in first}) == 8


def test_lengths_are_about_those_of_the_competition(battles: pl.DataFrame) -> None:
    lengths = np.concatenate([battles[f"text_{side}"].str.len_chars() for side in ("a", "b")])
    low, median, high, tail = np.percentile(lengths, [10, 50, 90, 99])
    assert 50 < low < 250
    assert 750 < median < 1_300
    assert 2_000 < high < 4_500
    assert 5_000 < tail < 13_000


def test_styles_differ_between_personas(battles: pl.DataFrame) -> None:
    seen = battles.with_columns(
        listed=pl.col("text_a").str.contains(r"(?m)^[0-9]+\. "),
        size=pl.col("text_a").str.len_chars(),
    )
    styles = seen.group_by("model_a").agg(pl.col("listed").mean(), pl.col("size").median())
    assert styles.height == 24
    assert styles["listed"].max() > 3 * styles["listed"].min()
    assert styles["size"].max() > 1.5 * styles["size"].min()


def test_quirks_stand_in_their_stated_shares(
    generated: GeneratedBattles, battles: pl.DataFrame
) -> None:
    shares = Quirks()
    responses = cells(generated, "response_a", "response_b")
    decoded = list(map(json.loads, responses))
    total = len(responses)
    assert within(sum(None in turns for turns in decoded), total, shares.null_turn)
    assert within(
        sum(any("\ud83d" in (turn or "") for turn in turns) for turns in decoded),
        total,
        shares.lone_surrogate,
    )
    blank = sum(not any(turn is None or turn for turn in turns) for turns in decoded)
    assert within(blank, total, shares.blank)
    same = (battles["text_a"] == battles["text_b"]).sum()
    assert within(same, battles.height, shares.identical)
    assert within((battles["prompt"].list.first() == "").sum(), battles.height, 0.001)
    assert sum(r"\ud83d\udc4d" in cell for cell in responses) > 0


def test_texts_hold_many_scripts(battles: pl.DataFrame) -> None:
    for script in ("Han", "Hiragana", "Arabic", "Hebrew", "Cyrillic", "Devanagari"):
        for column in (pl.col("prompt").list.first(), pl.col("text_a")):
            share = battles.select(column.str.contains(rf"\p{{{script}}}").mean()).item()
            assert 0.002 < share < 0.06, (script, share)


def test_conversations_have_as_many_answers_as_questions(battles: pl.DataFrame) -> None:
    turns = battles["prompt"].list.len()
    assert (turns == battles["response_a"].list.len()).all()
    assert (turns == battles["response_b"].list.len()).all()
    assert 0.1 < (turns > 1).mean() < 0.16
    assert turns.max() > 3


def test_prompts_are_asked_again_in_other_case_and_spacing(battles: pl.DataFrame) -> None:
    groups = (
        battles.with_columns(key=prompt_key(), first=pl.col("prompt").list.first())
        .filter(pl.col("key") != "")
        .group_by("key")
        .agg(pl.len(), pl.col("first").n_unique().alias("spellings"))
        .filter(pl.col("len") > 1)
    )
    assert 0.05 < groups["len"].sum() / battles.height < 0.35
    assert groups.filter(pl.col("spellings") > 1).height > 20


def test_quirks_can_be_turned_off() -> None:
    plain = generate_battles(300, 3, quirks=Quirks(*[0.0] * 7))
    decoded = list(map(json.loads, cells(plain, "prompt", "response_a", "response_b")))
    assert all(turn for turns in decoded for turn in turns)
    assert (plain.train["response_a"] != plain.train["response_b"]).all()


def test_cells_are_ascii_json_with_escaped_slashes(generated: GeneratedBattles) -> None:
    raw = cells(generated, "prompt", "response_a", "response_b")
    assert all(cell.isascii() for cell in raw)
    assert not any(re.search(r"(?<!\\)/", cell) for cell in raw)
    assert any(r"\/" in cell for cell in raw)
