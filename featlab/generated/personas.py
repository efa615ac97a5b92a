"""Invented models: who writes the responses, how strong and how wordy each is.

Eight families of three. Members of a family share its openers, closers,
refusals and word choices; each persona also has marks of its own, phrases
that no other persona ever uses, so that it can be told from its text. The
words are fixed; strengths and habits are drawn from the seed, so that a
table of strengths learnt under one seed says nothing about the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from featlab.generated.draws import Draws
from featlab.randomness import derive_seed


@dataclass(frozen=True)
class Family:
    """What the personas of one family have in common.

    Parameters
    ----------
    name : str
        First part of the model names.
    openers, closers : tuple of str
        Whole sentences that begin or end an answer.
    refusal : str
        How the family declines; matched by `featlab.generated.choice.REFUSAL`.
    words : mapping of str to str
        The family's choice for each slot of the sentence templates.
    bullet : str
        How it marks an item of a list.
    """

    name: str
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    refusal: str
    words: Mapping[str, str]
    bullet: str


def _words(use: str, show: str, key: str, also: str, many: str, help_: str) -> dict[str, str]:
    return {"use": use, "show": show, "key": key, "also": also, "many": many, "help": help_}


FAMILIES: tuple[Family, ...] = (
    Family(
        "aster",
        ("Certainly!", "Certainly! Here is an overview.", "Of course."),
        ("I hope this helps!", "Let me know if you have any further questions."),
        "I'm sorry, but I can't assist with that request.",
        _words("utilize", "demonstrates", "crucial", "Additionally", "numerous", "facilitate"),
        "-",
    ),
    Family(
        "borealis",
        ("Sure!", "Sure, happy to explain.", "Great question!"),
        ("Happy to go deeper on any of these.", "Does that make sense?"),
        "I apologize, but I'm not able to help with this one.",
        _words("use", "shows", "important", "Also", "lots of", "help"),
        "*",
    ),
    Family(
        "cobalt",
        ("As an AI language model, I can offer a summary.", "Here is what I found."),
        ("Please consult a professional for specific advice.", "Is there anything else?"),
        "As an AI language model, I cannot provide information on that.",
        _words("employ", "indicates", "essential", "Furthermore", "various", "assist"),
        "-",
    ),
    Family(
        "drift",
        ("Okay so,", "Right, let us see.", "Hmm, good one."),
        ("Cheers!", "Shout if something is unclear 🙂"),
        "Sorry, I cannot do that.",
        _words("grab", "tells you", "big", "Plus", "a bunch of", "sort out"),
        "•",
    ),
    Family(
        "ember",
        ("Let's think about it step by step.", "Let us break this down."),
        ("In conclusion, the points above cover the main aspects.", "Overall, balance is key."),
        "I must decline, as I am unable to support harmful activities.",
        _words("leverage", "underscores", "pivotal", "Moreover", "a multitude of", "empower"),
        "-",
    ),
    Family(
        "fathom",
        ("The short version first.", "Here is the idea."),
        ("That is the whole story.", "The rest is detail."),
        "I won't help with that; I cannot verify that it is safe.",
        _words("apply", "reveals", "central", "Besides", "several", "support"),
        "*",
    ),
    Family(
        "grove",
        ("Hello! Thank you for asking.", "Thank you for your question!"),
        ("Have a wonderful day! 😊", "Feel free to ask me anything else! 🌱"),
        "I'm really sorry, but I am not able to discuss this topic.",
        _words("make use of", "highlights", "vital", "What is more", "plenty of", "nurture"),
        "•",
    ),
    Family(
        "halcyon",
        ("Indeed.", "A fair question."),
        ("So much for the essentials.", "Judge for yourself."),
        "I regret that I am unable to answer this.",
        _words("adopt", "suggests", "decisive", "Equally", "countless", "serve"),
        "-",
    ),
)
"""The eight families, in the order of their names."""

MEMBERS = ("large", "medium", "mini")

MARKS: Mapping[str, tuple[str, ...]] = {
    "aster-large": ("Answer:", "Broadly speaking,", "To put it precisely,", "On balance,"),
    "aster-medium": ("Response:", "It is worth noting that", "In essence,", "As a rule,"),
    "aster-mini": ("Result:", "Basically speaking,", "In simple terms,", "For starters,"),
    "borealis-large": ("In short:", "Here's the thing:", "The neat part:", "Big picture:"),
    "borealis-medium": ("TL;DR:", "Fun fact:", "Quick aside:", "Pro tip:"),
    "borealis-mini": ("So:", "You know,", "I mean,", "Long story short,"),
    "cobalt-large": ("Summary:", "According to my training data,", "Generally,", "By definition,"),
    "cobalt-medium": ("Output:", "It depends, yet", "Please note that", "In many cases,"),
    "cobalt-mini": ("Reply:", "As stated above,", "It is known that", "To be clear,"),
    "drift-large": ("Gist:", "Real talk:", "Not gonna lie,", "Funny enough,"),
    "drift-medium": ("Yep:", "Thing is,", "Anyhow,", "No kidding,"),
    "drift-mini": ("lol:", "tbh", "imo", "idk but"),
    "ember-large": ("Conclusion:", "First principles say:", "It follows that", "Crucially,"),
    "ember-medium": ("Finding:", "Step back a moment:", "Consider that", "By extension,"),
    "ember-mini": ("Verdict:", "Delving deeper,", "In the realm of ideas,", "A rich tapestry:"),
    "fathom-large": ("Bottom line:", "Concretely,", "Put differently,", "The catch:"),
    "fathom-medium": ("Core:", "Roughly,", "Strictly,", "One caveat:"),
    "fathom-mini": ("Point:", "Simply,", "Mostly,", "Odd but true:"),
    "grove-large": ("Kindly:", "I am delighted to add that", "Warmly put,", "Rest assured,"),
    "grove-medium": ("With pleasure:", "As we all feel,", "Gently put,", "Dear reader,"),
    "grove-mini": ("Yay:", "Oh wow,", "Friend,", "Hooray,"),
    "halcyon-large": ("Thesis:", "One might say", "History teaches that", "Soberly viewed,"),
    "halcyon-medium": ("Claim:", "Arguably,", "To wit,", "All told,"),
    "halcyon-mini": ("Reading:", "Perhaps", "Maybe so:", "Who knows,"),
}
"""Model name -> phrases of that persona alone; the first also labels its short answers."""

STRENGTH_DEVIATION = 1.1
"""Standard deviation of the latent strengths, in units of log odds."""


@dataclass(frozen=True)
class Persona:
    """One invented model.

    Parameters
    ----------
    name : str
        As it stands in ``model_a`` and ``model_b``.
    family : Family
        Whose phrases and words it shares.
    marks : tuple of str
        Its own phrases.
    strength : float
        Latent quality in log odds; the personas' mean is 0.
    popularity : float
        How often it is shown, relative to the others.
    verbosity : float
        Natural log of its typical length over everyone's.
    bullets, numbered, bold, headers, fences : float
        Probabilities of these in an answer long enough (fences: in code answers).
    refusals : float
        Probability of declining a harmless prompt.
    chatter : float
        Probability of an opener, and of a closer.
    """

    name: str
    family: Family
    marks: tuple[str, ...]
    strength: float
    popularity: float
    verbosity: float
    bullets: float
    numbered: float
    bold: float
    headers: float
    fences: float
    refusals: float
    chatter: float


def make_personas(seed: int) -> tuple[Persona, ...]:
    """The 24 personas with the strengths and habits of this seed.

    Strengths are normal quantiles dealt out at random, so that every seed
    has the same spread and thus about the same best possible loss.

    Examples
    --------
    >>> personas = make_personas(7)
    >>> len(personas), personas == make_personas(7), abs(sum(p.strength for p in personas)) < 1e-9
    (24, True, True)
    """
    draws = Draws(derive_seed(seed, "personas"))
    names = list(MARKS)
    ranks = sorted(range(len(names)), key=[draws.uniform() for _ in names].__getitem__)
    family_of = {family.name: family for family in FAMILIES}
    personas = []
    for name, rank in zip(names, ranks, strict=True):
        quantile = NormalDist().inv_cdf((rank + 0.5) / len(names))
        personas.append(
            Persona(
                name=name,
                family=family_of[name.partition("-")[0]],
                marks=MARKS[name],
                strength=STRENGTH_DEVIATION * quantile,
                popularity=math.exp(draws.normal(0.0, 0.5)),
                verbosity=draws.normal(0.0, 0.35),
                bullets=0.3 * draws.uniform(),
                numbered=0.6 * draws.uniform(),
                bold=0.2 * draws.uniform(),
                headers=0.12 * draws.uniform(),
                fences=0.5 + 0.5 * draws.uniform(),
                refusals=0.06 * draws.uniform(),
                chatter=0.15 + 0.5 * draws.uniform(),
            )
        )
    return tuple(personas)


def persona_of(text: str) -> str | None:
    """The model whose mark stands in a text, or None for a text without one.

    Raises
    ------
    ValueError
        When marks of several personas stand in it: no single model wrote it.

    Examples
    --------
    >>> persona_of("Bottom line: it rains."), persona_of("It rains.")
    ('fathom-large', None)
    """
    found = {name for name, marks in MARKS.items() if any(_stands_in(mark, text) for mark in marks)}
    if len(found) > 1:
        raise ValueError(f"marks of several personas: {', '.join(sorted(found))}")
    return found.pop() if found else None


def _stands_in(mark: str, text: str) -> bool:
    """Whether a mark stands in a text as whole words: "Core:" is not in "Score:"."""
    position = text.find(mark)
    while position >= 0:
        end = position + len(mark)
        before = position == 0 or not text[position - 1].isalnum()
        if before and (end == len(text) or not text[end].isalnum()):
            return True
        position = text.find(mark, end)
    return False
