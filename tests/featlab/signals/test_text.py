"""The text signal with features of the user's own."""

from pathlib import Path

import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.errors import BundleError, FeatureError
from featlab.features import FEATURES
from featlab.signals import Context
from featlab.signals.text import TextSignal, text_signal_with

OWN = """\
from __future__ import annotations
from dataclasses import dataclass
import polars as pl
from featlab.features import FEATURES, Feature

@dataclass
class Pattern:
    text: str

LETTER = Feature("own_letter", lambda text: text.count(Pattern("{}").text), pl.{}, "own", "letter")
"""
BATTLE = pl.DataFrame({"prompt": ["a"], "response_a": ["aaaz"], "response_b": [""]})


def letters_of(signal: TextSignal) -> int:
    found = signal.prepare(read_battles(BATTLE))
    return int(found["response_a__own_letter"].item())


def letters(kind: type[TextSignal]) -> int:
    return letters_of(kind())


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN.format("a", "UInt32"))
    first = text_signal_with(file)
    assert letters(first) == 3
    assert text_signal_with(file) is first
    file.write_text(OWN.format("z", "UInt32"))
    second = text_signal_with(file)
    assert letters(second) == 1
    assert first().recipe() != second().recipe()
    assert second.available[:-1] == FEATURES


def test_a_value_that_the_dtype_cannot_hold_is_said(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN.format("a", "UInt8").replace("text.count(", "-1 - text.count("))
    with pytest.raises(FeatureError, match="a feature cannot be computed: conversion from"):
        letters(text_signal_with(file))


def test_a_feature_called_like_a_built_in_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    own = OWN.format("a", "UInt32").replace("own_letter", "words")
    file.write_text(own.replace('"letter")', '"letter", scopes=("response to prompt",))'))
    with pytest.raises(FeatureError, match="response_a__words"):
        text_signal_with(file)


def test_own_features_join_whatever_families_are_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN.format("a", "UInt32"))
    signal = text_signal_with(file).from_settings(Context(families=("code",)), 0)
    assert {column.family for column in signal.columns()} == {"code", "own"}
    again = text_signal_with(file).from_state(signal.state())
    assert again.columns() == signal.columns()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("lambda text: text.nosuch()", "own_letter fails: AttributeError"),
        ("lambda text: 1", "own_letter fails: AttributeError"),
        ("lambda: 1", "own_letter fails: TypeError"),
        ("sys.exit(3)", "fails: SystemExit"),
        ("nosuch", "fails: NameError"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, wrong: str, sentence: str
) -> None:
    file = tmp_path / "mine.py"
    own = OWN.format("a", "UInt32").replace('lambda text: text.count(Pattern("a").text)', wrong)
    file.write_text(own.replace("import polars", "import sys, polars", 1))
    with pytest.raises(FeatureError, match=sentence):
        text_signal_with(file)


def test_a_state_is_of_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN.format("a", "UInt32"))
    state = text_signal_with(file)().state()
    assert letters_of(text_signal_with(file).from_state(state)) == 3
    file.write_text(OWN.format("z", "UInt32"))
    with pytest.raises(BundleError, match="is not as it was when the ensemble was trained"):
        text_signal_with(file).from_state(state)
