"""How the text is laid out in lines."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, LENGTH_PAIRINGS, SIZE_PAIRINGS
from featlab.features.text import Text

FAMILY = "newlines"


def _single_newlines(text: Text) -> pl.Expr:
    return text.feature("newlines").cast(pl.Int64) - 2 * text.feature("blank_lines").cast(pl.Int64)


def _mean_line_length(text: Text) -> pl.Expr:
    return text.feature("characters") / (text.feature("newlines") + 1)


def _longest_line(text: Text) -> pl.Expr:
    return text.joined.str.split("\n").list.eval(pl.element().str.len_chars()).list.max()


def _trailing_newline(text: Text) -> pl.Expr:
    return text.joined.str.ends_with("\n")


_feature = partial(Feature, family=FAMILY, pairings=COUNT_PAIRINGS)
_size = partial(Feature, dtype=pl.UInt32, family=FAMILY, pairings=SIZE_PAIRINGS)

FEATURES = (
    Feature(
        "newlines",
        partial(Text.count_literal, literal="\n"),
        pl.UInt32,
        FAMILY,
        "line feeds",
        (Scope.PROMPT, Scope.RESPONSE),
        LENGTH_PAIRINGS,
    ),
    _size("blank_lines", partial(Text.count_literal, literal="\n\n"), meaning="double line feeds"),
    _feature(
        "single_newlines", _single_newlines, pl.UInt32, meaning="line feeds outside double ones"
    ),
    _feature(
        "mean_line_length",
        _mean_line_length,
        pl.Float32,
        meaning="characters for each line, line feeds and blank lines included",
    ),
    _size("longest_line", _longest_line, meaning="characters of the longest line"),
    _feature(
        "indented_lines",
        partial(Text.count_lines, pattern="(?:  |\t)"),
        pl.UInt32,
        meaning="lines that begin with two spaces or a tab",
    ),
    _feature(
        "trailing_newline",
        _trailing_newline,
        pl.UInt8,
        meaning="1 where the text ends in a line feed",
    ),
)
