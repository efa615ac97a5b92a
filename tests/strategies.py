"""Hypothesis strategies for texts, turns and battles that try what breaks naive code."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import strategies as st

TELLING = [
    "\n",
    "\n\n",
    " ",
    ". ",
    "? ",
    "!?",
    "- ",
    "1. ",
    "# ",
    "**bold**",
    "`code`",
    "```\n",
    "| a |",
    "$x$",
    "\\",
    '"',
    "I cannot ",
    "Sure, ",
    "sorry ",
    "name_1",
    "the same ",
    "Hope this helps!",
    "你好。",
    "привет ",
    "👍",
    "é",
    "\u2028",
    "\ufffd",
    "\x00",
    "\x01",
    "\u0130",
]
"""Pieces that features look for, and characters that engines stumble on."""

texts = st.one_of(
    st.lists(st.sampled_from(TELLING), max_size=8).map("".join),
    st.text(max_size=12),
)
"""Any Unicode text that UTF-8 can hold."""

turns = st.lists(st.one_of(st.none(), texts), max_size=3)
"""The turns of one text; some null, possibly none."""


@st.composite
def battle_frames(draw: st.DrawFn, max_size: int = 12) -> pl.DataFrame:
    """A raw training frame in the competition's format, with nulls in every place."""
    size = draw(st.integers(1, max_size))

    def cell() -> str | None:
        value = draw(st.one_of(st.none(), turns, turns, turns))
        if value is None:
            return draw(st.sampled_from([None, "", "null", " "]))
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    labels = [draw(st.integers(0, 2)) for _ in range(size)]
    return pl.DataFrame(
        {
            "id": range(100, 100 + size),
            "prompt": [cell() for _ in range(size)],
            "response_a": [cell() for _ in range(size)],
            "response_b": [cell() for _ in range(size)],
            "winner_model_a": [int(label == 0) for label in labels],
            "winner_model_b": [int(label == 1) for label in labels],
            "winner_tie": [int(label == 2) for label in labels],
        },
        schema_overrides=dict.fromkeys(("prompt", "response_a", "response_b"), pl.String),
    )
