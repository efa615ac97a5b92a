"""Phrases that give a response away: refusals, apologies, hedges, openers; of prose only."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature
from featlab.features.pairing import COUNT_PAIRINGS
from featlab.features.text import Text, per

FAMILY = "lexicon"

COUNTED = {
    "refusals": (
        (
            r"I(?:'m|’m| am) (?:unable|not able|not programmed)|I (?:cannot|can't|can’t|can not|"
            r"won't|will not|do not have the ability)|(?:not|isn't) (?:appropriate|ethical)|"
            r"against my (?:programming|guidelines)|cannot (?:provide|assist|fulfill|engage)|"
            r"(?:unable|not able) to (?:provide|assist|fulfill|help)"
        ),
        "phrases that decline the request",
    ),
    "self_references": (
        (
            r"(?:[Aa]s|I(?:'m| am)) (?:just )?an? (?:AI|artificial|large language|language|"
            r"text-based)|language model|AI assistant|my (?:training|knowledge cutoff)"
        ),
        "mentions of being a language model",
    ),
    "warnings": (
        (
            r"\b(?:[Ii]mportant to|[Nn]ote that|[Kk]eep in mind|[Rr]emember that|"
            r"[Bb]e (?:careful|aware)|consult (?:a|with|your)|professional advice)\b"
        ),
        "cautions and advice to consult someone",
    ),
    "first_person": (
        r"\b(?:I|my|me|My)\b",
        "I, me, my",
    ),
    "second_person": (r"\b(?:[Yy]ou|[Yy]our|[Yy]ou're|[Yy]ours)\b", "you and your"),
    "collective_person": (r"\b(?:[Ww]e|[Oo]ur|[Ll]et['’]s)\b", "we, our and let's"),
    "connectives": (
        (
            r"\b(?:However|Additionally|Furthermore|Moreover|Therefore|Overall|In conclusion|"
            r"In summary|Finally|First|Firstly|Second|Secondly|Ultimately)\b"
        ),
        "words that order an argument, at a sentence's start",
    ),
    "examples": (
        r"\b(?:[Ff]or example|[Ff]or instance|e\.g\.|[Ss]uch as)",
        "phrases that give an example",
    ),
    "numbers": (r"[0-9]+", "runs of digits"),
}
"""Feature name -> (regular expression, meaning): counted over the prose of the response."""

COUNTED_IN_ANY_CASE = {
    "apologies": (r"\bsorry\b|\bapologi[sz]e|\bapologies\b|\bmy mistake\b", "apologies"),
    "thanks": (r"\bthank(?:s| you)\b", "thanks"),
    "hedges": (
        (
            r"\b(?:might|perhaps|possibly|may be|could be|depends|depending|generally|typically|"
            r"usually|likely|probably|it seems|appears to)\b"
        ),
        "hedging words",
    ),
}
"""The same, on text in lower case."""

OPENERS = {
    "opens_agreeably": (
        (
            r"^\s*(?:Sure|Certainly|Of course|Absolutely|Yes|Great|Okay|OK|No problem|Definitely|"
            r"Alright)\b"
        ),
        "opens with Sure, Certainly, Of course and the like",
    ),
    "opens_with_refusal": (
        r"(?:[Ss]orry|[Aa]pologi[sz]e|[Aa]s an AI|cannot|can't|unable|don't have)",
        "declines or apologises within the first 120 characters",
    ),
    "opens_with_echo": (
        r"^\s*(?:The|A|An|This|In) ",
        "opens with an article or a plain statement",
    ),
    "opens_with_i": (r"^\s*I\b", "opens with I"),
    "opens_with_announcement": (
        r"(?:[Hh]ere(?:'s|’s| is| are)|[Bb]elow (?:is|are)|following)\b",
        "announces what follows within the first 120 characters",
    ),
    "opens_with_markup": (r"^\s*(?:[#*`|>-]|[0-9]+\.\s)", "opens with markdown"),
}
"""Feature name -> (regular expression on the first 120 characters of prose, meaning)."""


def _per_hundred_words(text: Text, name: str) -> pl.Expr:
    return per(text.feature(name), text.feature("words")) * 100


_feature = partial(Feature, family=FAMILY, pairings=COUNT_PAIRINGS)

FEATURES = (
    *(
        _feature(name, partial(search, pattern=pattern, of="prose"), pl.UInt32, meaning=meaning)
        for search, patterns in (
            (partial(Text.count), COUNTED),
            (partial(Text.count, ignore_case=True), COUNTED_IN_ANY_CASE),
        )
        for name, (pattern, meaning) in patterns.items()
    ),
    *(
        _feature(
            name,
            partial(Text.begins, pattern=pattern, of="prose"),
            pl.UInt8,
            meaning=f"1 where it {meaning}",
        )
        for name, (pattern, meaning) in OPENERS.items()
    ),
    _feature(
        "refusal_density",
        partial(_per_hundred_words, name="refusals"),
        pl.Float32,
        meaning="phrases that decline for each hundred words",
    ),
    _feature(
        "first_person_density",
        partial(_per_hundred_words, name="first_person"),
        pl.Float32,
        meaning="first-person words for each hundred words",
    ),
)
