"""Which marks are set, each apart, their runs, and their share of the text.

Those of code count too: left out, trees lost more than the kernel gained.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, SIZE_PAIRINGS
from featlab.features.text import Text
from featlab.features.verbosity import per_sentence

FAMILY = "punctuation"
BOTH = (Scope.PROMPT, Scope.RESPONSE)

MARKS = {
    "full_stops": ".",
    "commas": ",",
    "question_marks": "?",
    "exclamation_marks": "!",
    "colons": ":",
    "semicolons": ";",
    "double_quotes": '"',
    "parentheses": "(",
    "hyphens": "-",
}
"""Each mark counted apart: feature name -> character (opening ones stand for the pair)."""

_ALSO_OF_PROMPT = {"question_marks", "commas", "colons", "double_quotes", "full_stops"}


def _marks(text: Text) -> pl.Expr:
    return pl.sum_horizontal(text.feature(name) for name in MARKS)


_count = partial(Feature, dtype=pl.UInt32, family=FAMILY, pairings=COUNT_PAIRINGS)
_share = partial(Feature, dtype=pl.Float32, family=FAMILY, pairings=COUNT_PAIRINGS)

FEATURES = (
    *(
        _count(
            name,
            partial(Text.count_literal, literal=character),
            meaning=f"occurrences of {character}",
            scopes=BOTH if name in _ALSO_OF_PROMPT else (Scope.RESPONSE,),
        )
        for name, character in MARKS.items()
    ),
    _count(
        "curly_quotes",
        partial(Text.count, pattern="[“”‘’]"),
        meaning="typographic quotation marks and apostrophes",
    ),
    _count("dashes", partial(Text.count, pattern="[–—]"), meaning="en and em dashes"),
    _count(
        "ellipses",
        partial(Text.count, pattern=r"\.{3}|…"),
        meaning="three dots or the ellipsis character",
    ),
    _count(
        "emphatic_runs",
        partial(Text.count, pattern="[!?]{2,}"),
        meaning="runs of two or more ! and ?",
        scopes=BOTH,
    ),
    Feature(
        "marks",
        _marks,
        pl.UInt32,
        FAMILY,
        "the marks above taken together",
        pairings=SIZE_PAIRINGS,
    ),
    _share(
        "mark_share",
        partial(Text.share, part="marks", whole="characters"),
        meaning="marks for each character",
    ),
    _share(
        "commas_per_sentence",
        partial(per_sentence, name="commas"),
        meaning="commas for each sentence",
    ),
)
