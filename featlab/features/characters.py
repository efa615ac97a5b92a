"""Scripts and kinds of characters."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "characters"
BOTH = (Scope.PROMPT, Scope.RESPONSE)

SCRIPTS = {
    "han_characters": ("[㐀-䶿一-鿿]", "Chinese characters, also those of Japanese"),
    "kana_and_hangul": ("[\u3040-\u30ff\uac00-\ud7a3]", "Japanese syllables and Korean blocks"),
    "cyrillic_letters": ("[\u0400-\u04ff]", "Cyrillic letters"),
    "right_to_left_letters": (
        "[\u05d0-\u05ea\u0620-\u064a\u066e-\u06d3]",
        "Hebrew and Arabic letters",
    ),
}
"""Feature name -> (regular expression, meaning): counted in the prompt."""

# The engine searches for eight literals at once; a class of all emoji takes ten times as long.
_EMOJI = ("|".join("😊😄😃😀😂😉🤔👍"), "|".join("🎉✨🌟💡🚀🔥✅❤"))


def _continuation_share(text: Text) -> pl.Expr:
    size = text.joined.str.len_bytes().cast(pl.Int64)
    return per(size - text.feature("characters").cast(pl.Int64), size)


def _emoji(text: Text) -> pl.Expr:
    return text.count(_EMOJI[0]) + text.count(_EMOJI[1])


_count = partial(Feature, dtype=pl.UInt32, family=FAMILY, pairings=COUNT_PAIRINGS)
_share = partial(Feature, dtype=pl.Float32, family=FAMILY, scopes=BOTH, pairings=COUNT_PAIRINGS)

FEATURES = (
    _share(
        "continuation_byte_share",
        _continuation_share,
        meaning="UTF-8 continuation bytes for each byte: 0 for ASCII, 1/2 for Cyrillic, "
        "2/3 for Chinese",
    ),
    *(
        Feature(
            name,
            partial(Text.count, pattern=pattern, of="beyond_ascii"),
            pl.UInt32,
            FAMILY,
            meaning,
            (Scope.PROMPT,),
        )
        for name, (pattern, meaning) in SCRIPTS.items()
    ),
    _count("emoji", _emoji, meaning="the sixteen emoji most frequent in model answers"),
    _count("digits", partial(Text.count, pattern="[0-9]"), meaning="ASCII digits", scopes=BOTH),
    _count(
        "capitals",
        partial(Text.count_bytes, first="A", last="Z"),
        meaning="ASCII capital letters",
        scopes=BOTH,
    ),
    _share(
        "capital_share",
        partial(Text.share, part="capitals", whole="characters"),
        meaning="ASCII capital letters for each character",
    ),
    _share(
        "digit_share",
        partial(Text.share, part="digits", whole="characters"),
        meaning="ASCII digits for each character",
    ),
    _count(
        "replacement_characters",
        partial(Text.count_literal, literal="\ufffd"),
        meaning="U+FFFD, the mark of damaged text",
    ),
)
