"""How the text is laid out in lines."""

from __future__ import annotations

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS, LENGTH_PAIRINGS, SIZE_PAIRINGS

FAMILY = "newlines"

FEATURES = (
    Feature(
        "newlines",
        lambda text: text.count_literal("\n"),
        pl.UInt32,
        FAMILY,
        "line feeds",
        (Scope.PROMPT, Scope.RESPONSE),
        LENGTH_PAIRINGS,
    ),
    Feature(
        "blank_lines",
        lambda text: text.count_literal("\n\n"),
        pl.UInt32,
        FAMILY,
        "double line feeds",
        pairings=SIZE_PAIRINGS,
    ),
    Feature(
        "single_newlines",
        lambda text: (
            text.feature("newlines").cast(pl.Int64) - 2 * text.feature("blank_lines").cast(pl.Int64)
        ),
        pl.UInt32,
        FAMILY,
        "line feeds outside double ones",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "mean_line_length",
        lambda text: text.feature("characters") / (text.feature("newlines") + 1),
        pl.Float32,
        FAMILY,
        "characters for each line, line feeds and blank lines included",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "longest_line",
        lambda text: text.joined.str.split("\n").list.eval(pl.element().str.len_chars()).list.max(),
        pl.UInt32,
        FAMILY,
        "characters of the longest line",
        pairings=SIZE_PAIRINGS,
    ),
    Feature(
        "indented_lines",
        lambda text: text.count("\n(?:  |\t)"),
        pl.UInt32,
        FAMILY,
        "lines that begin with two spaces or a tab",
        pairings=COUNT_PAIRINGS,
    ),
    Feature(
        "trailing_newline",
        lambda text: text.joined.str.ends_with("\n"),
        pl.UInt8,
        FAMILY,
        "1 where the text ends in a line feed",
        pairings=COUNT_PAIRINGS,
    ),
)
