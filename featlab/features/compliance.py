"""Whether a response does what can be checked in what was asked.

Instructions that a program can verify, as of IFEval (Zhou et al., "Instruction
following evaluation for large language models", 2023): words, lists, code.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text

FAMILY = "compliance"

_WORDS_ASKED = (
    r"\b([0-9]{1,3}(?:[,.][0-9]{3})+|[0-9]{2,5})[- ]"
    r"(?:words?|palabras|mots|wörter|parole|palavras|слов)\b"
)


def _words_missed(response: Text, prompt: Text) -> pl.Expr:
    asked = prompt.lowered.str.extract(_WORDS_ASKED).str.replace_all("[,.]", "").cast(pl.Float64)
    gap = response.feature("words").cast(pl.Float64).log1p() - asked.log1p()
    return gap.abs().fill_null(0.0)


def _list_missing(response: Text, prompt: Text) -> pl.Expr:
    items = response.feature("list_items") + response.feature("other_items")
    return (prompt.feature("asks_for_list") > 0) & (items == 0)


def _code_missing(response: Text, prompt: Text) -> pl.Expr:
    asked = (prompt.feature("concerns_code") > 0) & (prompt.feature("asks_to_write") > 0)
    return asked & (response.feature("fences") == 0)


_feature = partial(
    Feature, family=FAMILY, scopes=(Scope.RESPONSE_TO_PROMPT,), pairings=COUNT_PAIRINGS
)

FEATURES = (
    _feature(
        "words_missed",
        _words_missed,
        pl.Float32,
        meaning="size of the log ratio of the words given to the number of words asked for",
    ),
    _feature(
        "list_missing", _list_missing, pl.UInt8, meaning="1 where a list was asked for, not given"
    ),
    _feature(
        "code_missing",
        _code_missing,
        pl.UInt8,
        meaning="1 where code was asked for and none stands in a fence",
    ),
)
