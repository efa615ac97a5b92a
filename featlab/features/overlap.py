"""How two texts overlap: a response with its prompt, and the two responses with each other."""

from __future__ import annotations

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "overlap"

TO_PROMPT = (Scope.RESPONSE_TO_PROMPT,)
RESPONSES = (Scope.RESPONSES,)


def _shared(first: Text, second: Text) -> pl.Expr:
    """Distinct words in both."""
    return first.vocabulary.list.set_intersection(second.vocabulary).list.len()


def _jaccard(first: Text, second: Text) -> pl.Expr:
    shared = _shared(first, second).cast(pl.Int64)
    either = first.feature("distinct_words").cast(pl.Int64) + second.feature("distinct_words")
    return per(shared, either - shared)


def _same(first: Text, second: Text) -> pl.Expr:
    return first.joined == second.joined


def _same_words(first: Text, second: Text) -> pl.Expr:
    return first.joined.str.strip_chars() == second.joined.str.strip_chars()


def _same_beginning(first: Text, second: Text, size: int) -> pl.Expr:
    filled = (first.joined.str.len_bytes() > 0) & (second.joined.str.len_bytes() > 0)
    return filled & (first.joined.str.head(size) == second.joined.str.head(size))


def _same_end(first: Text, second: Text, size: int) -> pl.Expr:
    filled = (first.joined.str.len_bytes() > 0) & (second.joined.str.len_bytes() > 0)
    return filled & (first.joined.str.tail(size) == second.joined.str.tail(size))


def _both_empty(first: Text, second: Text) -> pl.Expr:
    return (first.joined.str.len_bytes() == 0) & (second.joined.str.len_bytes() == 0)


FEATURES = (
    Feature(
        "words_of_prompt",
        lambda response, prompt: _shared(prompt, response),
        pl.UInt32,
        FAMILY,
        "distinct words of the prompt that the response uses",
        TO_PROMPT,
        COUNT_PAIRINGS,
    ),
    Feature(
        "prompt_coverage",
        lambda response, prompt: per(
            response.feature("words_of_prompt"), prompt.feature("distinct_words")
        ),
        pl.Float32,
        FAMILY,
        "share of the prompt's distinct words that the response uses",
        TO_PROMPT,
        COUNT_PAIRINGS,
    ),
    Feature(
        "prompt_echo",
        lambda response, prompt: per(
            response.feature("words_of_prompt"), response.feature("distinct_words")
        ),
        pl.Float32,
        FAMILY,
        "share of the response's distinct words that come from the prompt",
        TO_PROMPT,
        COUNT_PAIRINGS,
    ),
    Feature(
        "length_for_prompt",
        lambda response, prompt: (
            response.feature("characters").cast(pl.Float64).log1p()
            - prompt.feature("characters").cast(pl.Float64).log1p()
        ),
        pl.Float32,
        FAMILY,
        "log ratio of the response's characters to the prompt's",
        TO_PROMPT,
    ),
    Feature(
        "jaccard",
        _jaccard,
        pl.Float32,
        FAMILY,
        "distinct words in both responses for each one in either",
        RESPONSES,
    ),
    Feature("are_identical", _same, pl.UInt8, FAMILY, "1 where the responses are equal", RESPONSES),
    Feature(
        "are_nearly_identical",
        _same_words,
        pl.UInt8,
        FAMILY,
        "1 where the responses are equal but for white space at the ends",
        RESPONSES,
    ),
    Feature(
        "begin_alike",
        lambda first, second: _same_beginning(first, second, 20),
        pl.UInt8,
        FAMILY,
        "1 where the first 20 characters agree",
        RESPONSES,
    ),
    Feature(
        "end_alike",
        lambda first, second: _same_end(first, second, 20),
        pl.UInt8,
        FAMILY,
        "1 where the last 20 characters agree",
        RESPONSES,
    ),
    Feature("are_both_empty", _both_empty, pl.UInt8, FAMILY, "1 where neither has text", RESPONSES),
)
