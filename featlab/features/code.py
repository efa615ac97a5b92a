"""Fenced code: how much there is, how it is split up, whether it says its language."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "code"
BOTH = (Scope.PROMPT, Scope.RESPONSE)


def _characters(text: Text) -> pl.Expr:
    # Blocks are joined by line feeds in the view of code, so what prose lacks is counted.
    return text.feature("characters").cast(pl.Int64) - text.prose.str.len_chars().cast(pl.Int64)


def _lines(text: Text) -> pl.Expr:
    # Blocks stand on lines of their own, so every second fence is a line feed that is not code's.
    between = text.count_literal("\n", of="code").cast(pl.Int64)
    fences = text.feature("fences").cast(pl.Int64)
    return (between + (fences > 0) - fences).clip(0)


def _comment_share(text: Text) -> pl.Expr:
    comments = text.count(r"\n[ \t]*(?:#|//|--|/\*|<!--)", of="code")
    return per(comments, text.feature("code_lines")).clip(0, 1)


def _fences(text: Text) -> pl.Expr:
    return text.turn_fences.list.sum()


def _unclosed_fence(text: Text) -> pl.Expr:
    return text.turn_fences.list.eval(pl.element() % 2).list.max().fill_null(0)


_feature = partial(Feature, family=FAMILY, pairings=COUNT_PAIRINGS)

FEATURES = (
    _feature(
        "fences",
        _fences,
        pl.UInt32,
        meaning="code fences, opening and closing",
        scopes=BOTH,
    ),
    _feature(
        "has_unclosed_fence",
        _unclosed_fence,
        pl.UInt8,
        meaning="1 where a turn leaves a code fence open, a sign of a cut answer",
    ),
    _feature(
        "code_characters",
        _characters,
        pl.UInt32,
        meaning="characters of fenced code, fences included",
        scopes=BOTH,
    ),
    _feature("code_lines", _lines, pl.UInt32, meaning="lines of fenced code, fences left out"),
    _feature(
        "code_share",
        partial(Text.share, part="code_characters", whole="characters"),
        pl.Float32,
        meaning="characters of fenced code for each character",
    ),
    _feature(
        "language_tags",
        partial(Text.count, pattern="```[A-Za-z]", of="code"),
        pl.UInt32,
        meaning="code fences that name a language",
    ),
    _feature(
        "comment_share",
        _comment_share,
        pl.Float32,
        meaning="lines that begin with a comment for each line of fenced code",
    ),
)
