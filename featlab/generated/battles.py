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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES, read_battles
from featlab.errors import ConfigError
from featlab.files import atomic_path
from featlab.generated.choice import ChoiceModel, expected_log_loss, truth_matrix
from featlab.generated.draws import Draws
from featlab.generated.personas import Persona, make_personas
from featlab.generated.prompts import Prompt, ask, make_popular_prompts
from featlab.generated.writing import respond
from featlab.randomness import derive_seed

TEXTS = ("id", "prompt", "response_a", "response_b")
RAW_COLUMNS = ("id", "model_a", "model_b", *TEXTS[1:], *PROBABILITIES)
"""The columns of the competition's train.csv, in order."""

_BLOCK = 2_000
_ID_STEP = 70_000
_EMOJI = ("👍", "🎉", "🚀", "😂")


@dataclass(frozen=True)
class Quirks:
    """Shares of what real files spring on their readers.

    Parameters
    ----------
    null_turn, blank : float
        Of the responses: one turn is null; every turn is an empty string.
    lone_surrogate, emoji : float
        Of the responses: half of an emoji's surrogate pair, or an emoji, ends the text.
    identical : float
        Of the battles: both responses are the same.
    repeated, blank_prompt : float
        Of the battles: the prompt is one of the popular ones; it is an empty string.
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


class WrittenBattles(NamedTuple):
    """What `write_battles` wrote; the test part keeps names and outcomes, which its file lacks."""

    train: GeneratedBattles
    test: GeneratedBattles


def generate_battles(
    count: int, seed: int, *, choice: ChoiceModel | None = None, quirks: Quirks | None = None
) -> GeneratedBattles:
    """Generate battles, their outcomes, and the probabilities the outcomes were drawn from.

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
    trains, truths = [], []
    for start in range(0, count, _BLOCK):
        rows = map(writer.battle, range(start, min(start + _BLOCK, count)))
        raw = pl.DataFrame(list(rows), schema_overrides={"id": pl.Int64})
        probabilities = choice.probabilities(read_battles(raw).collect(), strengths)
        limits = np.cumsum(probabilities[:, :2], axis=1)
        label = (raw["luck"].to_numpy()[:, None] >= limits).sum(axis=1)
        outcomes = {
            name: pl.Series((label == position).astype(np.int8))
            for position, name in enumerate(PROBABILITIES)
        }
        trains.append(raw.drop("luck").with_columns(**outcomes))
        truths.append(
            raw.select("id").hstack(pl.DataFrame(probabilities, schema=list(PROBABILITIES)))
        )
    return GeneratedBattles(pl.concat(trains), pl.concat(truths), strengths, choice)


def write_battles(
    folder: Path,
    train_count: int,
    test_count: int,
    seed: int,
    *,
    choice: ChoiceModel | None = None,
    quirks: Quirks | None = None,
) -> WrittenBattles:
    """Write ``train.csv``, ``test.csv`` and the truth of both into a folder.

    The test battles are by the same personas as the training battles and come
    after them, so one popular prompt may stand in both, as in the competition.
    Each file is written whole or not at all.

    ============================  ====================================================
    file                          columns
    ============================  ====================================================
    ``train.csv``                 the competition's, line ends CR LF
    ``test.csv``                  id, prompt, response_a, response_b
    ``train_truth.parquet``,      id, the three true probabilities, and ``label``
    ``test_truth.parquet``        (Int8: 0 a won, 1 b won, 2 tie) as it was drawn
    ============================  ====================================================

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    train_count, test_count : int
        Number of battles, each at least 1.
    seed, choice, quirks
        As for `featlab.generated.generate_battles`.

    Raises
    ------
    ConfigError
        When a count is below 1.
    """
    if min(train_count, test_count) < 1:
        raise ConfigError(
            f"cannot write {train_count} training and {test_count} test battles; "
            "ask for at least 1 of each"
        )
    both = generate_battles(train_count + test_count, seed, choice=choice, quirks=quirks)
    parts = []
    for name, start, count in (("train", 0, train_count), ("test", train_count, test_count)):
        train, truth = both.train.slice(start, count), both.truth.slice(start, count)
        with atomic_path(folder / f"{name}.csv") as path:
            public = train if name == "train" else train.select(TEXTS)
            public.write_csv(path, line_terminator="\r\n")
        label = train.select(PROBABILITIES).to_numpy().argmax(axis=1)
        with atomic_path(folder / f"{name}_truth.parquet") as path:
            truth.with_columns(pl.Series("label", label, pl.Int8)).write_parquet(path)
        parts.append(replace(both, train=train, truth=truth))
    return WrittenBattles(*parts)


def _cell(turns: Sequence[str | None]) -> str:
    """Write a JSON list as the competition's files do: ASCII only, slashes escaped."""
    return json.dumps(turns, separators=(",", ":")).replace("/", "\\/")


class _Writer:
    """Writes the raw cells of one battle after another, each from its own seed."""

    def __init__(self, seed: int, quirks: Quirks) -> None:
        self.seed = seed
        self.quirks = quirks
        self.personas = make_personas(seed)
        self.popular = make_popular_prompts(seed)
        self.popularity = list(accumulate(persona.popularity for persona in self.personas))

    def battle(self, index: int) -> dict[str, int | float | str]:
        """Write a row of the raw file, with the number that draws its outcome."""
        draws = Draws(derive_seed(self.seed, "battle", index))
        identifier = index * _ID_STEP + draws.below(_ID_STEP)
        luck = draws.uniform()
        first = second = draws.pick_weighted(self.popularity)
        while second == first:
            second = draws.pick_weighted(self.popularity)
        persona_a, persona_b = self.personas[first], self.personas[second]
        prompt = ask(self.popular, self.quirks.repeated, draws)
        response_a = self._response(persona_a, prompt, draws)
        response_b = self._response(persona_b, prompt, draws)
        if draws.chance(self.quirks.identical):
            response_b = response_a
        blank = draws.chance(self.quirks.blank_prompt)
        return {
            "id": identifier,
            "model_a": persona_a.name,
            "model_b": persona_b.name,
            "prompt": _cell(["", *prompt.turns[1:]] if blank else prompt.turns),
            "response_a": _cell(response_a),
            "response_b": _cell(response_b),
            "luck": luck,
        }

    def _response(self, persona: Persona, prompt: Prompt, draws: Draws) -> list[str | None]:
        turns: list[str | None] = [*respond(persona, prompt, draws)]
        if draws.chance(self.quirks.emoji):
            turns[-1] = f"{turns[-1]} {draws.pick(_EMOJI)}"
        if draws.chance(self.quirks.lone_surrogate):
            turns[-1] = f"{turns[-1]} \ud83d"
        if draws.chance(self.quirks.blank):
            turns = [""] * len(turns)
        if draws.chance(self.quirks.null_turn):
            turns[draws.below(len(turns))] = None
        return turns
