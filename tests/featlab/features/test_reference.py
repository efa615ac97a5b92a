"""Some features again, in plain Python and on real battles; the slow way must agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.features import BattleColumns

ROWS = 700


def words(text: str) -> list[str]:
    return [word for word in text.lower().replace("\n", " ").split(" ") if word]


def longest_runs(text: str) -> int:
    return max(map(len, text.split("\n")))


def blank_lines(text: str) -> int:
    return sum(len(run) // 2 for run in re.findall(r"\n+", text))


def prose(text: str) -> str:
    return re.sub(r"```.*?(?:```|\Z)", "", text, flags=re.DOTALL)


def lines(text: str, pattern: str) -> int:
    return sum(bool(re.match(pattern, line)) for line in prose(text).split("\n"))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def repeated(words: list[str], size: int) -> float:
    runs = [tuple(words[first : first + size]) for first in range(len(words) - size + 1)]
    return share(len(runs) - len(set(runs)), len(runs))


ONE_TEXT: dict[str, Callable[[str], float]] = {
    "characters": len,
    "words": lambda text: len(words(text)),
    "distinct_words": lambda text: len(set(words(text))),
    "distinct_word_share": lambda text: share(len(set(words(text))), len(words(text))),
    "sentences": lambda text: (
        len(re.findall(r"[.!?](?=[ \n]|\Z)", prose(text))) + prose(text).count("。")
    ),
    "paragraphs": lambda text: len(
        [part for part in re.split(r"\n{2,}", text.strip("\n")) if part]
    ),
    "mean_word_length": lambda text: share(len(text), len(words(text))),
    "newlines": lambda text: text.count("\n"),
    "blank_lines": blank_lines,
    "single_newlines": lambda text: text.count("\n") - 2 * blank_lines(text),
    "longest_line": longest_runs,
    "commas": lambda text: text.count(","),
    "headers": lambda text: lines(text, r"#{1,6}(\s|\Z)"),
    "bullets": lambda text: lines(text, r"\s*[-*+](\s|\Z)"),
    "numbered_items": lambda text: lines(text, r"\s*[0-9]+\.(\s|\Z)"),
    "horizontal_rules": lambda text: lines(text, r"(-{3,}|\*{3,}|_{3,})\Z"),
    "table_rows": lambda text: lines(text, r"\|"),
    "fences": lambda text: text.count("```"),
    "list_line_share": lambda text: (
        lines(text, r"\s*([-*+]|[0-9]+\.)(\s|\Z)") / (text.count("\n") + 1)
    ),
    "repeated_2grams": lambda text: repeated(words(text), 2),
    "repeated_4grams": lambda text: repeated(words(text), 4),
    "first_person": lambda text: len(re.findall(r"\b(?:I|my|me|My)\b", prose(text))),
    "closes_with_question": lambda text: bool(re.search(r"\?[\"'’”»」)*_\s]*\Z", text)),
    "capitals": lambda text: sum("A" <= character <= "Z" for character in text),
    "digits": lambda text: sum("0" <= character <= "9" for character in text),
    "continuation_byte_share": lambda text: share(
        len(text.encode()) - len(text), len(text.encode())
    ),
    "is_empty": lambda text: not text.strip("\n"),
}

TWO_TEXTS: dict[str, Callable[[str, str], float]] = {
    "words_of_prompt": lambda answer, prompt: len(set(words(answer)) & set(words(prompt))),
    "prompt_coverage": lambda answer, prompt: share(
        len(set(words(answer)) & set(words(prompt))), len(set(words(prompt)))
    ),
    "prompt_echo": lambda answer, prompt: share(
        len(set(words(answer)) & set(words(prompt))), len(set(words(answer)))
    ),
}


@pytest.fixture(scope="module")
def battles(real_data: Path) -> pl.DataFrame:
    return read_battles(real_data / "arena" / "train.csv").head(ROWS).collect()


@pytest.fixture(scope="module")
def computed(battles: pl.DataFrame) -> pl.DataFrame:
    return BattleColumns().compute(battles.lazy()).collect()


@pytest.fixture(scope="module")
def texts(battles: pl.DataFrame) -> dict[str, list[str]]:
    return {
        name: ["\n\n".join(turns) for turns in battles[name].to_list()]
        for name in ("prompt", "response_a", "response_b")
    }


def agrees(column: pl.Series, values: list[float]) -> bool:
    reference = np.array(values, dtype=np.float64)
    return np.array_equal(column.to_numpy(), reference.astype(column.to_numpy().dtype))


@pytest.mark.parametrize("feature", ONE_TEXT)
def test_features_of_one_text(
    feature: str, computed: pl.DataFrame, texts: dict[str, list[str]]
) -> None:
    columns = [name for name in texts if f"{name}__{feature}" in computed]
    assert len(columns) >= 2
    for name in columns:
        values = [ONE_TEXT[feature](text) for text in texts[name]]
        assert agrees(computed[f"{name}__{feature}"], values)


@pytest.mark.parametrize("feature", TWO_TEXTS)
def test_features_of_a_response_and_its_prompt(
    feature: str, computed: pl.DataFrame, texts: dict[str, list[str]]
) -> None:
    for side in ("response_a", "response_b"):
        values = list(map(TWO_TEXTS[feature], texts[side], texts["prompt"]))
        assert agrees(computed[f"{side}__{feature}"], values)


def test_features_of_the_two_responses(computed: pl.DataFrame, texts: dict[str, list[str]]) -> None:
    pairs = list(zip(texts["response_a"], texts["response_b"], strict=True))
    sets = [(set(words(a)), set(words(b))) for a, b in pairs]
    assert agrees(computed["responses__jaccard"], [share(len(a & b), len(a | b)) for a, b in sets])
    assert agrees(computed["responses__are_identical"], [a == b for a, b in pairs])


def test_pairings(computed: pl.DataFrame, texts: dict[str, list[str]]) -> None:
    a, b = (np.array([len(text) for text in texts[side]]) for side in ("response_a", "response_b"))
    paired = {
        "difference": a - b,
        "absolute_difference": abs(a - b),
        "sum": a + b,
        "share": (a - b) / np.maximum(a + b, 1),
    }
    for name, values in paired.items():
        assert agrees(computed[f"characters__{name}"], values.tolist())
    logarithmic = computed["characters__log_difference"].to_numpy()
    assert np.allclose(logarithmic, np.log1p(a) - np.log1p(b), rtol=1e-6, atol=1e-6)
