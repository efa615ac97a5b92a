"""The words that prompts and responses are made of, read from ``vocabulary.toml``.

Sentences of one topic are built once for each family's word choices and then
picked from, so that a long response costs little more than a join.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product

from featlab.generated.draws import Draws
from featlab.randomness import derive_seed

_WORDS = tomllib.loads((files(__package__) / "vocabulary.toml").read_text(encoding="utf-8"))

TOPICS: Mapping[str, Sequence[str]] = _WORDS["topics"]
PROMPTS: Mapping[str, Sequence[str]] = _WORDS["prompts"]
TEMPLATES: Mapping[str, Sequence[str]] = _WORDS["templates"]
LANGUAGES: Mapping[str, Mapping[str, Sequence[str]]] = _WORDS["languages"]
CODE: Mapping[str, str] = _WORDS["code"]

_POOL = 80


@dataclass(frozen=True)
class Family:
    """What some invented models have in common; the vocabulary's file says what each entry is.

    `name` is the first part of the models' names, and the keys of `marks` are the
    second; marks are the phrases of one model alone.
    """

    name: str
    openers: Sequence[str]
    closers: Sequence[str]
    refusal: str
    bullet: str
    words: Mapping[str, str] = field(repr=False)
    marks: Mapping[str, Sequence[str]] = field(repr=False)


FAMILIES = tuple(Family(name, **family) for name, family in _WORDS["families"].items())


@cache
def sentence_pools() -> Mapping[tuple[str, str], Sequence[str]]:
    """Make (family, topic) -> sentences about the topic in the family's words.

    Examples
    --------
    >>> len(sentence_pools()), len(sentence_pools()["aster", "chess"])
    (128, 80)
    """
    draws = Draws(derive_seed(0, "sentences"))
    templates = TEMPLATES["sentences"]
    pools = {}
    for family, (topic, nouns) in product(FAMILIES, TOPICS.items()):
        pool = []
        for number in range(_POOL):
            x, y = draws.pick_two(nouns)
            slots = {"x": x, "y": y, "X": x.capitalize(), "topic": topic, **family.words}
            pool.append(templates[number % len(templates)].format_map(slots))
        pools[family.name, topic] = pool
    return pools
