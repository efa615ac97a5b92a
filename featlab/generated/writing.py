"""How a persona answers: length, layout, phrases and refusals, as text.

Every turn that is not empty carries a mark of its persona, so that who wrote
it, and with that the true probabilities of a battle, can be known from the
text alone.
"""

from __future__ import annotations

import math

from featlab.generated.draws import Draws
from featlab.generated.personas import Persona
from featlab.generated.prompts import Prompt
from featlab.generated.vocabulary import CODE, LANGUAGES, TEMPLATES, TOPICS, sentence_pools

_USUAL_LENGTH = math.log(1050.0)
_LONGEST = 50_000
_NOISE = 0.5
_CLOSED = -2.0  # log of how much shorter an answer to a closed question is

# Usual characters of a sentence and of a line of verse, with what follows it.
_SENTENCE = 74.0
_FOREIGN_SENTENCE = 60.0
_LINE = 44.0

_MARK_AGAIN = 0.07
_BORDERLINE_REFUSALS = 0.5


def respond(persona: Persona, prompt: Prompt, draws: Draws) -> list[str]:
    """Write one response: a turn for each turn of the prompt, none of them empty."""
    borderline = _BORDERLINE_REFUSALS if prompt.kind == "borderline" else 0.0
    refusals = persona.refusals + borderline
    return [
        _refusal(persona, draws)
        if draws.chance(refusals if number == 0 else refusals / 4)
        else _answer(persona, prompt, draws)
        for number in range(len(prompt.turns))
    ]


def _refusal(persona: Persona, draws: Draws) -> str:
    text = f"{persona.marks[0]} {persona.family.refusal}"
    if draws.chance(persona.chatter):
        text += f" {draws.pick(persona.family.closers)}"
    return text


def _answer(persona: Persona, prompt: Prompt, draws: Draws) -> str:
    if prompt.kind == "closed" and draws.chance(0.75):
        return f"{persona.marks[0]} {draws.below(600)}"
    called_for = prompt.length + (_CLOSED if prompt.kind == "closed" else 0.0)
    logarithm = draws.normal(_USUAL_LENGTH + persona.verbosity + called_for, _NOISE)
    write = {"code": _code, "creative": _verses, "foreign": _foreign}.get(prompt.kind, _essay)
    body = write(persona, prompt, min(math.exp(logarithm), _LONGEST), draws)
    if draws.chance(persona.chatter):
        body = f"{draws.pick(persona.family.openers)}\n\n{body}"
    if draws.chance(persona.chatter):
        body = f"{body}\n\n{draws.pick(persona.family.closers)}"
    return body


def _sentences(persona: Persona, prompt: Prompt, goal: float, draws: Draws) -> list[str]:
    """Write sentences of about `goal` characters, at least one of them marked."""
    pool = sentence_pools()[persona.family.name, prompt.topic]
    count = max(1, round(goal / _SENTENCE))
    marked = draws.below(count)
    sentences = []
    for number in range(count):
        sentence = draws.pick(pool)
        if number == marked or draws.chance(_MARK_AGAIN):
            sentence = f"{draws.pick(persona.marks[1:])} {sentence[:1].lower()}{sentence[1:]}"
        sentences.append(sentence)
    return sentences


def _essay(persona: Persona, prompt: Prompt, goal: float, draws: Draws) -> str:
    sentences = _sentences(persona, prompt, goal, draws)
    if draws.chance(persona.bold):
        sentences[0] = f"**{sentences[0]}**"
    header = ""
    if len(sentences) > 4 and draws.chance(persona.headers):
        header = f"## {prompt.topic.capitalize()}\n\n"
    layout = draws.uniform()
    if len(sentences) > 3 and layout < persona.bullets:
        head, *items, tail = sentences
        listed = "\n".join(f"{persona.family.bullet} {item}" for item in items)
        return f"{header}{head}\n\n{listed}\n\n{tail}"
    if len(sentences) > 3 and layout < persona.bullets + persona.numbered:
        head, *items = sentences
        listed = "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))
        return f"{header}{head}\n\n{listed}"
    size = 2 + draws.below(4)
    paragraphs = [sentences[start : start + size] for start in range(0, len(sentences), size)]
    return header + "\n\n".join(map(" ".join, paragraphs))


def _code(persona: Persona, prompt: Prompt, goal: float, draws: Draws) -> str:
    language = draws.pick(tuple(CODE))
    code = CODE[language].format(function=draws.pick(TEMPLATES["functions"]), n=draws.below(99))
    if draws.chance(persona.fences):
        code = f"```{language}\n{code}\n```"
    prose = _sentences(persona, prompt, max(goal / 2 - len(code), 1.0), draws)
    return f"{prose[0]}\n\n{code}\n\n{' '.join(prose[1:])}".rstrip()


def _verses(persona: Persona, prompt: Prompt, goal: float, draws: Draws) -> str:
    lines = []
    for _ in range(max(2, round(goal / _LINE))):
        x, y = draws.pick_two(TOPICS[prompt.topic])
        line = draws.pick(TEMPLATES["poem_lines"])
        lines.append(line.format(x=x, y=y, topic=prompt.topic))
    stanzas = ["\n".join(lines[start : start + 4]) for start in range(0, len(lines), 4)]
    return f"{draws.pick(persona.marks[1:])}\n\n" + "\n\n".join(stanzas)


def _foreign(persona: Persona, prompt: Prompt, goal: float, draws: Draws) -> str:
    language = LANGUAGES[prompt.language]
    count = max(1, round(goal / _FOREIGN_SENTENCE))
    sentences = [
        draws.pick(language["sentences"]).format(x=draws.pick(language["subjects"]))
        for _ in range(count)
    ]
    return f"{persona.marks[0]} {' '.join(sentences)}"
