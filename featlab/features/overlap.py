"""How two texts overlap: a response with its prompt, and the two responses with each other."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "overlap"


def _shared(first: Text, second: Text) -> pl.Expr:
    return first.vocabulary.list.set_intersection(second.vocabulary).list.len()


def _words_of_prompt(response: Text, prompt: Text) -> pl.Expr:
    return _shared(prompt, response)


def _jaccard(first: Text, second: Text) -> pl.Expr:
    # Counting the words of either is twice as fast as finding those of both, and what stands
    # twice in an expression is computed twice.
    either = pl.concat_list(first.vocabulary, second.vocabulary).list.n_unique().clip(1)
    both = first.feature("distinct_words").cast(pl.Float64) + second.feature("distinct_words")
    return both.clip(1) / either - 1.0


def _coverage(response: Text, prompt: Text) -> pl.Expr:
    return per(response.feature("words_of_prompt"), prompt.feature("distinct_words"))


def _echo(response: Text, prompt: Text) -> pl.Expr:
    return per(response.feature("words_of_prompt"), response.feature("distinct_words"))


def _identical(first: Text, second: Text) -> pl.Expr:
    return first.joined == second.joined


def _nearly_identical(first: Text, second: Text) -> pl.Expr:
    return first.joined.str.strip_chars() == second.joined.str.strip_chars()


def _begin_alike(first: Text, second: Text) -> pl.Expr:
    return _filled(first, second) & (first.joined.str.head(20) == second.joined.str.head(20))


def _end_alike(first: Text, second: Text) -> pl.Expr:
    return _filled(first, second) & (first.joined.str.tail(20) == second.joined.str.tail(20))


def _filled(first: Text, second: Text) -> pl.Expr:
    return (first.feature("is_empty") == 0) & (second.feature("is_empty") == 0)


def _both_empty(first: Text, second: Text) -> pl.Expr:
    return (first.feature("is_empty") > 0) & (second.feature("is_empty") > 0)


_to_prompt = partial(Feature, family=FAMILY, scopes=(Scope.RESPONSE_TO_PROMPT,))
_of_both = partial(Feature, family=FAMILY, scopes=(Scope.RESPONSES,))

FEATURES = (
    _to_prompt(
        "words_of_prompt",
        _words_of_prompt,
        pl.UInt32,
        meaning="distinct words of the prompt that the response uses",
        pairings=COUNT_PAIRINGS,
    ),
    _to_prompt(
        "prompt_coverage",
        _coverage,
        pl.Float32,
        meaning="share of the prompt's distinct words that the response uses",
        pairings=COUNT_PAIRINGS,
    ),
    _to_prompt(
        "prompt_echo",
        _echo,
        pl.Float32,
        meaning="share of the response's distinct words that come from the prompt",
        pairings=COUNT_PAIRINGS,
    ),
    _of_both(
        "jaccard",
        _jaccard,
        pl.Float32,
        meaning="distinct words in both responses for each one in either",
    ),
    _of_both("are_identical", _identical, pl.UInt8, meaning="1 where the responses are equal"),
    _of_both(
        "are_nearly_identical",
        _nearly_identical,
        pl.UInt8,
        meaning="1 where the responses are equal but for white space at the ends",
    ),
    _of_both(
        "begin_alike", _begin_alike, pl.UInt8, meaning="1 where the first 20 characters agree"
    ),
    _of_both("end_alike", _end_alike, pl.UInt8, meaning="1 where the last 20 characters agree"),
    _of_both("are_both_empty", _both_empty, pl.UInt8, meaning="1 where neither has text"),
)
