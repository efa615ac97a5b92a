"""Which marks are set, each apart, their runs, and their share of the text."""

from __future__ import annotations

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, SIZE_PAIRINGS
from featlab.features.text import per

FAMILY = "punctuation"

MARKS = {
    "full_stops": ".",
    "commas": ",",
    "question_marks": "?",
    "exclamation_marks": "!",
    "colons": ":",
    "semicolons": ";",
    "apostrophes": "'",
    "double_quotes": '"',
    "parentheses": "(",
    "square_brackets": "[",
    "curly_brackets": "{",
    "angle_brackets": "<",
    "hyphens": "-",
    "slashes": "/",
    "backslashes": "\\",
    "asterisks": "*",
    "underscores": "_",
    "number_signs": "#",
    "equals_signs": "=",
    "plus_signs": "+",
    "percent_signs": "%",
    "dollar_signs": "$",
    "ampersands": "&",
    "at_signs": "@",
    "vertical_bars": "|",
    "backticks": "`",
}
"""Each mark counted apart: feature name -> character (opening ones stand for the pair)."""

_ALSO_OF_PROMPT = {"question_marks", "commas", "colons", "double_quotes", "full_stops"}


def _mark(name: str, character: str) -> Feature:
    scopes = (Scope.PROMPT, Scope.RESPONSE) if name in _ALSO_OF_PROMPT else (Scope.RESPONSE,)
    return Feature(
        name,
        lambda text: text.count_literal(character),
        pl.UInt32,
        FAMILY,
        f"occurrences of {character}",
        scopes,
        COUNT_PAIRINGS,
    )


FEATURES = (
    *(_mark(name, character) for name, character in MARKS.items()),
    Feature(
        "curly_quotes",
        lambda text: text.count("[“”‘’]"),
        pl.UInt32,
        FAMILY,
        "typographic quotation marks and apostrophes",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "dashes",
        lambda text: text.count("[–—]"),
        pl.UInt32,
        FAMILY,
        "en and em dashes",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "ellipses",
        lambda text: text.count(r"\.{3}|…"),
        pl.UInt32,
        FAMILY,
        "three dots or the ellipsis character",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "emphatic_runs",
        lambda text: text.count("[!?]{2,}"),
        pl.UInt32,
        FAMILY,
        "runs of two or more ! and ?",
        (Scope.PROMPT, Scope.RESPONSE),
        COUNT_PAIRINGS,
    ),
    Feature(
        "marks",
        lambda text: pl.sum_horizontal(text.feature(name) for name in MARKS),
        pl.UInt32,
        FAMILY,
        "the marks above taken together",
        pairings=SIZE_PAIRINGS,
    ),
    Feature(
        "mark_share",
        lambda text: per(text.feature("marks"), text.feature("characters")),
        pl.Float32,
        FAMILY,
        "marks for each character",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "commas_per_sentence",
        lambda text: text.feature("commas") / text.feature("sentences").clip(1),
        pl.Float32,
        FAMILY,
        "commas for each sentence",
        pairings=COUNT_PAIRINGS,
    ),
)
