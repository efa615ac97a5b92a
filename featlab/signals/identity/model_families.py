"""Which family a model belongs to, told from its name: gpt, claude, llama, vicuna, ...

Members of a family are trained on much the same text and so write alike: one is
easily mistaken for another, seldom for a member of another family.
"""

from __future__ import annotations

import re
from functools import cache

MODEL_FAMILIES: tuple[tuple[str, str], ...] = (
    ("gpt4all", "gpt4all"),
    ("gpt", "gpt"),
    ("chatgpt", "gpt"),
    ("o1-", "gpt"),
    ("codellama", "llama"),
    ("meta-llama", "llama"),
    ("mixtral", "mistral"),
    ("bard", "google"),
    ("gemini", "google"),
    ("gemma", "google"),
    ("palm", "google"),
    ("nous-hermes", "hermes"),
    ("openhermes", "hermes"),
)
"""Beginning of a name in lower case -> family; the first that fits decides."""

UNNAMED = "other"
"""The family of a name that begins with no letter."""

_LETTERS = re.compile(r"[a-z]+")


@cache
def family(model: str) -> str:
    """Return a model's family: that of `MODEL_FAMILIES`, else the letters its name begins with.

    Examples
    --------
    >>> family("gpt-4-1106-preview"), family("llama2-70b-steerlm-chat"), family("mixtral-8x7b")
    ('gpt', 'llama', 'mistral')
    >>> family("zephyr-7b-beta"), family("7b")
    ('zephyr', 'other')
    """
    name = model.strip().lower()
    for beginning, found in MODEL_FAMILIES:
        if name.startswith(beginning):
            return found
    letters = _LETTERS.match(name)
    return letters.group() if letters else UNNAMED
