"""Scripts and kinds of characters."""

from __future__ import annotations

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "characters"
BOTH = (Scope.PROMPT, Scope.RESPONSE)

# The engine searches for eight literals at once; a class of all emoji takes ten times as long.
_EMOJI = ("|".join("😊😄😃😀😂😉🤔👍"), "|".join("🎉✨🌟💡🚀🔥✅❤"))


def _continuation_share(text: Text) -> pl.Expr:
    size = text.joined.str.len_bytes().cast(pl.Int64)
    return per(size - text.feature("characters").cast(pl.Int64), size)


FEATURES = (
    Feature(
        "continuation_byte_share",
        _continuation_share,
        pl.Float32,
        FAMILY,
        "UTF-8 continuation bytes for each byte: 0 for ASCII, 1/2 for Cyrillic, 2/3 for Chinese",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "han_characters",
        lambda text: text.count("[㐀-䶿一-鿿]"),
        pl.UInt32,
        FAMILY,
        "Chinese characters, also those of Japanese",
        (Scope.PROMPT,),
    ),
    Feature(
        "kana_and_hangul",
        lambda text: text.count("[\u3040-\u30ff\uac00-\ud7a3]"),
        pl.UInt32,
        FAMILY,
        "Japanese syllables and Korean blocks",
        (Scope.PROMPT,),
    ),
    Feature(
        "cyrillic_letters",
        lambda text: text.count("[\u0400-\u04ff]"),
        pl.UInt32,
        FAMILY,
        "Cyrillic letters",
        (Scope.PROMPT,),
    ),
    Feature(
        "right_to_left_letters",
        lambda text: text.count("[\u0590-\u06ff]"),
        pl.UInt32,
        FAMILY,
        "Hebrew and Arabic letters",
        (Scope.PROMPT,),
    ),
    Feature(
        "emoji",
        lambda text: text.count(_EMOJI[0]) + text.count(_EMOJI[1]),
        pl.UInt32,
        FAMILY,
        "the sixteen emoji most frequent in model answers",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "digits",
        lambda text: text.count("[0-9]"),
        pl.UInt32,
        FAMILY,
        "ASCII digits",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "capitals",
        lambda text: text.count("[A-Z]"),
        pl.UInt32,
        FAMILY,
        "ASCII capital letters",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "capital_share",
        lambda text: per(text.feature("capitals"), text.feature("characters")),
        pl.Float32,
        FAMILY,
        "ASCII capital letters for each character",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "digit_share",
        lambda text: per(text.feature("digits"), text.feature("characters")),
        pl.Float32,
        FAMILY,
        "ASCII digits for each character",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "replacement_characters",
        lambda text: text.count_literal("\ufffd"),
        pl.UInt32,
        FAMILY,
        "U+FFFD, the mark of damaged text",
        pairings=COUNT_PAIRINGS,
    ),
)
