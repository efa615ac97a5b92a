"""How much is said: characters, words, sentences, paragraphs, turns, and their means."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, LENGTH_PAIRINGS, SIZE_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "verbosity"
BOTH = (Scope.PROMPT, Scope.RESPONSE)


def per_sentence(text: Text, name: str) -> pl.Expr:
    """Return a feature for each sentence; a text without one counts as one."""
    return text.feature(name) / text.feature("sentences").clip(1)


def _characters(text: Text) -> pl.Expr:
    return text.joined.str.len_chars()


def _words(text: Text) -> pl.Expr:
    return text.hashed_words.list.len()


def _distinct_words(text: Text) -> pl.Expr:
    return text.vocabulary.list.len()


def _distinct_word_share(text: Text) -> pl.Expr:
    return per(_distinct_words(text), text.feature("words"))


def _sentences(text: Text) -> pl.Expr:
    # An end of the text within the search would make it half as fast.
    within = text.count("[.!?][ \n]", of="prose") + text.count_literal("。", of="prose")
    return within + text.prose.str.contains("[.!?]$")


def _paragraphs(text: Text) -> pl.Expr:
    stripped = text.joined.str.strip_chars("\n")
    return stripped.str.count_matches("\n\n+") + (stripped.str.len_bytes() > 0)


def _turns(text: Text) -> pl.Expr:
    return text.turns.list.len()


def _last_turn(text: Text) -> pl.Expr:
    return text.turns.list.last().fill_null("").str.len_chars()


def _shortest_turn(text: Text) -> pl.Expr:
    return text.turns.list.eval(pl.element().str.len_chars()).list.min().fill_null(0)


def _is_empty(text: Text) -> pl.Expr:
    # Empty turns leave the line feeds between them.
    return text.joined.str.strip_chars("\n").str.len_bytes() == 0


def _was_null(text: Text) -> pl.Expr:
    return text.was_null


_length = partial(Feature, dtype=pl.UInt32, family=FAMILY, scopes=BOTH, pairings=LENGTH_PAIRINGS)
_size = partial(Feature, dtype=pl.UInt32, family=FAMILY, pairings=SIZE_PAIRINGS)
_mean = partial(Feature, dtype=pl.Float32, family=FAMILY, scopes=BOTH, pairings=COUNT_PAIRINGS)
_flag = partial(Feature, dtype=pl.UInt8, family=FAMILY, scopes=BOTH, pairings=COUNT_PAIRINGS)

FEATURES = (
    _length("characters", _characters, meaning="Unicode characters, turns joined by a blank line"),
    _length("words", _words, meaning="words, split at spaces and line feeds"),
    _size("distinct_words", _distinct_words, meaning="different words, case ignored", scopes=BOTH),
    _mean("distinct_word_share", _distinct_word_share, meaning="different words for each word"),
    _size(
        "sentences",
        _sentences,
        meaning="ends of sentences: . ! ? before a space or line end, or an ideographic full stop",
        scopes=BOTH,
    ),
    _size("paragraphs", _paragraphs, meaning="blocks parted by blank lines"),
    _mean(
        "mean_word_length",
        partial(Text.share, part="characters", whole="words"),
        meaning="characters for each word, those between words included",
    ),
    _mean(
        "mean_sentence_length",
        partial(per_sentence, name="words"),
        meaning="words for each sentence",
    ),
    Feature(
        "turns", _turns, pl.UInt32, FAMILY, "turns of the conversation", scopes=(Scope.PROMPT,)
    ),
    _size("last_turn_characters", _last_turn, meaning="characters of the last turn", scopes=BOTH),
    _size("shortest_turn_characters", _shortest_turn, meaning="characters of the shortest turn"),
    _flag("is_empty", _is_empty, meaning="1 where there is no text"),
    _flag("was_null", _was_null, meaning="1 where the file held a null turn or cell"),
)
