"""How much is said: characters, words, sentences, paragraphs, turns, and their means."""

from __future__ import annotations

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, LENGTH_PAIRINGS, SIZE_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "verbosity"
BOTH = (Scope.PROMPT, Scope.RESPONSE)


def _sentences(text: Text) -> pl.Expr:
    latin = text.count(r"[.!?](?:[ \n]|$)")
    return latin + text.count_literal("。")


def _paragraphs(text: Text) -> pl.Expr:
    stripped = text.joined.str.strip_chars("\n")
    return stripped.str.count_matches("\n\n+") + (stripped.str.len_bytes() > 0)


FEATURES = (
    Feature(
        "characters",
        lambda text: text.joined.str.len_chars(),
        pl.UInt32,
        FAMILY,
        "Unicode characters, turns joined by a blank line",
        BOTH,
        LENGTH_PAIRINGS,
    ),
    Feature(
        "words",
        lambda text: text.words.list.len(),
        pl.UInt32,
        FAMILY,
        "words, split at spaces and line feeds",
        BOTH,
        LENGTH_PAIRINGS,
    ),
    Feature(
        "distinct_words",
        lambda text: text.vocabulary.list.len(),
        pl.UInt32,
        FAMILY,
        "different words, case ignored",
        BOTH,
        SIZE_PAIRINGS,
    ),
    Feature(
        "distinct_word_share",
        lambda text: per(text.vocabulary.list.len(), text.feature("words")),
        pl.Float32,
        FAMILY,
        "different words for each word",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "sentences",
        _sentences,
        pl.UInt32,
        FAMILY,
        "ends of sentences: . ! ? before a space or line end, or an ideographic full stop",
        BOTH,
        SIZE_PAIRINGS,
    ),
    Feature(
        "paragraphs",
        _paragraphs,
        pl.UInt32,
        FAMILY,
        "blocks parted by blank lines",
        (Scope.RESPONSE,),
        SIZE_PAIRINGS,
    ),
    Feature(
        "mean_word_length",
        lambda text: per(text.feature("characters"), text.feature("words")),
        pl.Float32,
        FAMILY,
        "characters for each word, those between words included",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "mean_sentence_length",
        lambda text: text.feature("words") / text.feature("sentences").clip(1),
        pl.Float32,
        FAMILY,
        "words for each sentence",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "turns",
        lambda text: text.turns.list.len(),
        pl.UInt32,
        FAMILY,
        "turns of the conversation",
        (Scope.PROMPT,),
    ),
    Feature(
        "last_turn_characters",
        lambda text: text.turns.list.last().fill_null("").str.len_chars(),
        pl.UInt32,
        FAMILY,
        "characters of the last turn",
        BOTH,
        SIZE_PAIRINGS,
    ),
    Feature(
        "shortest_turn_characters",
        lambda text: text.turns.list.eval(pl.element().str.len_chars()).list.min().fill_null(0),
        pl.UInt32,
        FAMILY,
        "characters of the shortest turn",
        (Scope.RESPONSE,),
        SIZE_PAIRINGS,
    ),
    Feature(
        "is_empty",
        lambda text: text.joined.str.len_bytes() == 0,
        pl.UInt8,
        FAMILY,
        "1 where there is no text",
        BOTH,
        COUNT_PAIRINGS,
    ),
    Feature(
        "was_null",
        lambda text: text.was_null,
        pl.UInt8,
        FAMILY,
        "1 where the file held a null turn or cell",
        BOTH,
        COUNT_PAIRINGS,
    ),
)
