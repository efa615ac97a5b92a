"""What users ask: kinds of prompt, languages, several turns, and prompts asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from featlab.generated.draws import Draws
from featlab.generated.vocabulary import CODE, LANGUAGES, PROMPTS, TEMPLATES, TOPICS, sentence_pools
from featlab.randomness import derive_seed

KINDS = ("question", "creative", "closed", "code", "borderline", "foreign")
"""Kinds of prompt; a closed question has an answer of one word."""

_KIND_WEIGHTS = tuple(accumulate((0.56, 0.11, 0.07, 0.11, 0.05, 0.10)))
_LONG_PROMPT = 0.1
_SEVERAL_TURNS = 0.13
_LAST_TURN = 0.6
_MOST_TURNS = 36
_POPULAR_PROMPTS = 400


@dataclass(frozen=True)
class Prompt:
    """One request, with what a writer needs to know to answer it.

    It has a topic of `vocabulary.TOPICS` whatever its kind, and `length` is the natural
    log of the length that it calls for, over the usual one.
    """

    kind: str
    topic: str
    language: str
    turns: tuple[str, ...]
    length: float


def make_prompt(draws: Draws) -> Prompt:
    """Make a prompt that was hardly asked before."""
    kind = KINDS[draws.pick_weighted(_KIND_WEIGHTS)]
    topic = draws.pick(tuple(TOPICS))
    if kind == "foreign":
        language = draws.pick(tuple(LANGUAGES))
        templates, nouns = LANGUAGES[language]["prompts"], LANGUAGES[language]["subjects"]
    else:
        language, templates, nouns = "en", PROMPTS[kind], TOPICS[topic]
    first = _filled(draws.pick(templates), topic, nouns, draws)
    if kind in ("question", "code") and draws.chance(_LONG_PROMPT):
        pasted = sentence_pools()["fathom", topic]
        first += "\n\n" + " ".join(draws.pick(pasted) for _ in range(draws.geometric(0.06)))
    turns = [first]
    if draws.chance(_SEVERAL_TURNS):
        turns.extend(
            _filled(draws.pick(TEMPLATES["follow_ups"]), topic, TOPICS[topic], draws)
            for _ in range(min(draws.geometric(_LAST_TURN), _MOST_TURNS - 1))
        )
    return Prompt(kind, topic, language, tuple(turns), draws.normal(0.0, 0.6))


def make_popular_prompts(seed: int) -> tuple[Prompt, ...]:
    """Make the prompts that many users ask, the most popular first."""
    draws = Draws(derive_seed(seed, "popular prompts"))
    return tuple(make_prompt(draws) for _ in range(_POPULAR_PROMPTS))


def ask(popular: Sequence[Prompt], repeated: float, draws: Draws) -> Prompt:
    """Ask a new prompt, or with probability `repeated` a popular one, sometimes retyped.

    The n-th popular prompt is asked in proportion to ``1 / (n + 10)``. A
    retyped one differs in case or white space only, and so stays in its group.
    """
    if not draws.chance(repeated):
        return make_prompt(draws)
    weights = list(accumulate(1.0 / (rank + 10) for rank in range(len(popular))))
    prompt = popular[draws.pick_weighted(weights)]
    if draws.chance(0.6):
        return prompt
    first, *rest = prompt.turns
    return replace(prompt, turns=(_retyped(first, draws.below(4)), *rest))


def _filled(template: str, topic: str, nouns: Sequence[str], draws: Draws) -> str:
    x, y = draws.pick_two(nouns)
    return template.format(
        topic=topic,
        x=x,
        y=y,
        n=2 + draws.below(498),
        age=5 + draws.below(90),
        year=1500 + draws.below(600),
        language=draws.pick(tuple(CODE)),
        function=draws.pick(TEMPLATES["functions"]),
    )


def _retyped(text: str, way: int) -> str:
    shouted = text.upper() if text.isascii() else f"{text} "
    return (text.lower(), f"  {text}\n", text.replace(" ", "  "), shouted)[way]
