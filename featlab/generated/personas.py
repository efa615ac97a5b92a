"""Invented models: who writes the responses, how strong and how wordy each is.

Eight families of three. Members of a family share its openers, closers,
refusals and word choices; each persona also has marks of its own, phrases
that no other persona ever uses, so that it can be told from its text. The
words are fixed; strengths and habits are drawn from the seed, so that a
table of strengths learnt under one seed says nothing about the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from featlab.generated.draws import Draws
from featlab.generated.vocabulary import FAMILIES, Family
from featlab.randomness import derive_seed

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
    marks : sequence of str
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
    marks: Sequence[str]
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
    """Make the 24 personas with the strengths and habits of this seed.

    Strengths are normal quantiles dealt out at random, so that every seed
    has the same spread and thus about the same best possible loss.

    Examples
    --------
    >>> personas = make_personas(7)
    >>> len(personas), personas == make_personas(7), abs(sum(p.strength for p in personas)) < 1e-9
    (24, True, True)
    """
    draws = Draws(derive_seed(seed, "personas"))
    members = [(family, size) for family in FAMILIES for size in family.marks]
    ranks = sorted(range(len(members)), key=[draws.uniform() for _ in members].__getitem__)
    return tuple(
        Persona(
            name=f"{family.name}-{size}",
            family=family,
            marks=family.marks[size],
            strength=STRENGTH_DEVIATION * NormalDist().inv_cdf((rank + 0.5) / len(members)),
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
        for (family, size), rank in zip(members, ranks, strict=True)
    )


def persona_of(text: str) -> str | None:
    """Return the model whose mark stands in a text, or None for a text without one.

    Raises
    ------
    ValueError
        When marks of several personas stand in it: no single model wrote it.

    Examples
    --------
    >>> persona_of("Bottom line: it rains."), persona_of("It rains.")
    ('fathom-large', None)
    """
    found = [
        f"{family.name}-{size}"
        for family in FAMILIES
        for size, marks in family.marks.items()
        # As whole words: "Core:" is not in "Score:".
        if re.search(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, marks))})(?![^\W_])", text)
    ]
    if len(found) > 1:
        raise ValueError(f"marks of several personas: {', '.join(found)}")
    return found[0] if found else None
