r"""Battles by invented models, in the competition's raw format, with their true probabilities.

Everything that real files spring on their readers is here: turns that are
null, JSON escapes of lone and paired surrogates, ``\/``, blank and identical
responses, prompts asked again in other case or spacing, many scripts, a long
tail of lengths.

What "optimum" means. The outcome of each battle is drawn from probabilities
that are known (`featlab.generated.choice`), so the mean entropy of those is
the least log loss that any predictor can expect, the names of the models
given. The names add nothing that is not in the text: strength counts only for
responses that are not blank and not the same on both sides, and each of those
carries a mark of its model. A predictor that reads the text alone has the
same optimum; what it lacks on a finite training set is knowledge of marks
and strengths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES, read_battles
from featlab.errors import ConfigError
from featlab.generated.choice import ChoiceModel, expected_log_loss, truth_matrix
from featlab.generated.draws import Draws
from featlab.generated.personas import Persona, make_personas
from featlab.generated.prompts import Prompt, ask, make_popular_prompts
from featlab.generated.writing import respond
from featlab.randomness import derive_seed

RAW_COLUMNS = ("id", "model_a", "model_b", "prompt", "response_a", "response_b", *PROBABILITIES)
"""The columns of the competition's train.csv, in order."""

_BLOCK = 2_000
_ID_STEP = 70_000
_EMOJI = ("👍", "🎉", "🚀", "😂")


@dataclass(frozen=True)
class Quirks:
    """Shares of what real files spring on their readers.

    Parameters
    ----------
    null_turn : float
        Of the responses: one turn is null.
    blank : float
        Of the responses: every turn is an empty string.
    lone_surrogate : float
        Of the responses: half of an emoji's surrogate pair stands in the text.
    emoji : float
        Of the responses: an emoji ends the text.
    identical : float
        Of the battles: both responses are the same.
    repeated : float
        Of the battles: the prompt is one of the popular ones.
    blank_prompt : float
        Of the battles: the prompt is an empty string.
    """

    null_turn: float = 0.0025
    blank: float = 0.002
    lone_surrogate: float = 0.004
    emoji: float = 0.01
    identical: float = 0.0075
    repeated: float = 0.1
    blank_prompt: float = 0.001


@dataclass(frozen=True, eq=False)
class GeneratedBattles:
    """Battles with their true probabilities.

    Parameters
    ----------
    train : DataFrame
        Raw columns `RAW_COLUMNS`: ids Int64, texts as JSON lists, outcomes Int8.
    truth : DataFrame
        ``id`` and the true probabilities (Float64) under the submission's
        column names, in the same order.
    strengths : dict of str to float
        Latent strength of each model.
    choice : ChoiceModel
        Where the probabilities come from.
    """

    train: pl.DataFrame
    truth: pl.DataFrame
    strengths: Mapping[str, float] = field(repr=False)
    choice: ChoiceModel

    @property
    def optimum(self) -> float:
        """Least expected log loss of any predictor: the mean entropy of the truth."""
        return expected_log_loss(truth_matrix(self.truth))

    @property
    def realised_optimum(self) -> float:
        """Log loss of the true probabilities on the outcomes that were drawn."""
        outcomes = self.train.select(PROBABILITIES).to_numpy()
        return float(-np.log(truth_matrix(self.truth)[outcomes == 1]).mean())


def generate_battles(
    count: int,
    seed: int,
    *,
    choice: ChoiceModel | None = None,
    quirks: Quirks | None = None,
) -> GeneratedBattles:
    """Battles, their outcomes, and the probabilities the outcomes were drawn from.

    The first battles are the same whatever the count, and the same in every
    process.

    Parameters
    ----------
    count : int
        Number of battles, at least 1.
    seed : int
        Decides everything, the strengths of the personas included.
    choice : ChoiceModel, optional
        Weights of the choice model.
    quirks : Quirks, optional
        Shares of the oddities.

    Raises
    ------
    ConfigError
        When `count` is below 1.

    Examples
    --------
    >>> battles = generate_battles(40, seed=7)
    >>> battles.train.shape, battles.truth.columns
    ((40, 9), ['id', 'winner_model_a', 'winner_model_b', 'winner_tie'])
    >>> bool(0.5 < battles.optimum < 1.0986)
    True
    """
    if count < 1:
        raise ConfigError(f"cannot generate {count} battles; ask for at least 1")
    choice = choice or ChoiceModel()
    writer = _Writer(seed, quirks or Quirks())
    strengths = {persona.name: persona.strength for persona in writer.personas}
    blocks = []
    for start in range(0, count, _BLOCK):
        rows = [writer.battle(index) for index in range(start, min(start + _BLOCK, count))]
        blocks.append(_with_outcomes(rows, choice, strengths))
    train = pl.concat([train for train, _ in blocks])
    truth = pl.concat([truth for _, truth in blocks])
    return GeneratedBattles(train, truth, strengths, choice)


class _Writer:
    """Writes the raw cells of one battle after another, each from its own seed."""

    def __init__(self, seed: int, quirks: Quirks) -> None:
        self.seed = seed
        self.quirks = quirks
        self.personas = make_personas(seed)
        self.popular = make_popular_prompts(seed)
        popularity = np.cumsum([persona.popularity for persona in self.personas])
        self.popularity: list[float] = popularity.tolist()

    def battle(self, index: int) -> tuple[int, str, str, str, str, str, float]:
        """Id, the two names, the three JSON cells, and the number that draws the outcome."""
        draws = Draws(derive_seed(self.seed, "battle", index))
        identifier = index * _ID_STEP + draws.below(_ID_STEP)
        luck = draws.uniform()
        first = draws.pick_weighted(self.popularity)
        second = first
        while second == first:
            second = draws.pick_weighted(self.popularity)
        prompt = ask(self.popular, self.quirks.repeated, draws)
        response_a = self._response(self.personas[first], prompt, draws)
        response_b = self._response(self.personas[second], prompt, draws)
        if draws.chance(self.quirks.identical):
            response_b = response_a
        turns = list(prompt.turns)
        if draws.chance(self.quirks.blank_prompt):
            turns[0] = ""
        return (
            identifier,
            self.personas[first].name,
            self.personas[second].name,
            raw_cell(turns),
            raw_cell(response_a),
            raw_cell(response_b),
            luck,
        )

    def _response(self, persona: Persona, prompt: Prompt, draws: Draws) -> list[str | None]:
        turns: list[str | None] = [*respond(persona, prompt, draws)]
        quirks = self.quirks
        if draws.chance(quirks.emoji):
            turns[-1] = f"{turns[-1]} {draws.pick(_EMOJI)}"
        if draws.chance(quirks.lone_surrogate):
            turns[-1] = f"{turns[-1]} \ud83d"
        if draws.chance(quirks.blank):
            turns = [""] * len(turns)
        if draws.chance(quirks.null_turn):
            turns[draws.below(len(turns))] = None
        return turns


def raw_cell(turns: list[str | None] | list[str]) -> str:
    r"""A JSON list as the competition's files write it: ASCII only, slashes escaped.

    Examples
    --------
    >>> print(raw_cell(["km/h 👍", None]))
    ["km\/h \ud83d\udc4d",null]
    """
    return json.dumps(turns, separators=(",", ":")).replace("/", "\\/")


def _with_outcomes(
    rows: list[tuple[int, str, str, str, str, str, float]],
    choice: ChoiceModel,
    strengths: Mapping[str, float],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    names = [*RAW_COLUMNS[:6], "luck"]
    raw = pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"id": pl.Int64})
    probabilities = choice.probabilities(read_battles(raw).collect(), strengths)
    truth = raw.select("id").hstack(pl.DataFrame(probabilities, schema=list(PROBABILITIES)))
    limits = np.cumsum(probabilities[:, :2], axis=1)
    label = (raw["luck"].to_numpy()[:, None] >= limits).sum(axis=1)
    outcomes = {
        name: pl.Series((label == position).astype(np.int8))
        for position, name in enumerate(PROBABILITIES)
    }
    return raw.drop("luck").with_columns(**outcomes), truth
