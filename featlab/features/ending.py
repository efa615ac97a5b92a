"""How an answer ends: finished or cut, in what, and whether it hands the word back.

Of several turns the last one's end counts, since the joined text ends in it.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text

FAMILY = "ending"

_CLOSING = r"[\"'’”»」)*_\s]"

LAST = {
    "closes_with_offer": (
        (
            r"let me know|feel free|hope (?:this|that|it)|happy to|"
            r"(?:further|other|more) questions|anything else|would you like"
        ),
        "offers more help within the last 240 characters",
    ),
    "closes_with_question": (rf"[?？؟]{_CLOSING}*$", "ends with a question mark"),
    "closes_with_summary": (
        r"\b(?:overall|in conclusion|in summary|to sum|ultimately|remember)\b",
        "sums up within the last 240 characters",
    ),
    "closes_unfinished": (r"[\w,:;\-(]\s*$", "ends without a mark that ends a sentence"),
    "closes_with_exclamation": (rf"[!！]{_CLOSING}*$", "ends with an exclamation mark"),
    "asks_back": (r"[?？؟]", "asks within the last 240 characters"),
    "ends_in_clause": (r"[,;，、؛]\s*$", "ends with a mark that a clause goes on after"),
    "ends_in_list": (
        r"\n[ \t]*(?:[-*+•]|[0-9]+[.)])[ \t][^\n]*\s*$",
        "ends in an item of a list",
    ),
}
"""Feature name -> (regular expression on the last 240 characters in lower case, meaning)."""

FEATURES = tuple(
    Feature(
        name,
        partial(Text.ends, pattern=pattern, ignore_case=True),
        pl.UInt8,
        FAMILY,
        f"1 where it {meaning}",
        pairings=COUNT_PAIRINGS,
    )
    for name, (pattern, meaning) in LAST.items()
)
