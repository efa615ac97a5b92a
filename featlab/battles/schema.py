"""The schema of a battle: which column of a file plays which role, and what comes out.

Whatever the file looks like, reading gives one canonical frame:

====================================  ============  =========================================
column                                dtype         meaning
====================================  ============  =========================================
``id``                                as read       unique; the row's number where there is none
``prompt, response_a, response_b``    List(String)  turns; no nulls inside, valid Unicode
``prompt__null, ...``                 Boolean       the cell or one of its turns was null
``label``                             Int8          0 a won, 1 b won, 2 tie; training files
``model_a, model_b``                  String        only where the file names the models
``language``                          String        only where the file states it
====================================  ============  =========================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from featlab.battles.outcome_columns import ChosenFirst, LabelColumn, OneHotColumns, Outcome
from featlab.battles.text_columns import TextFormat
from featlab.parity import Frame, Parity, swap

OUTCOMES = ("a", "b", "tie")
"""The outcomes in the order of their labels 0, 1 and 2."""

TIE = 2
"""The label of a tie."""

PROBABILITIES = ("winner_model_a", "winner_model_b", "winner_tie")
"""The competition's names for the probabilities of `OUTCOMES`."""

TEXTS = ("prompt", "response_a", "response_b")

BATTLE_PARITY: Mapping[str, Parity] = {
    "response_a": Parity.SIDE,
    "response_b": Parity.SIDE,
    "response_a__null": Parity.SIDE,
    "response_b__null": Parity.SIDE,
    "model_a": Parity.SIDE,
    "model_b": Parity.SIDE,
}


@dataclass(frozen=True)
class BattleSchema:
    """Column roles of a battle file.

    Parameters
    ----------
    id : str, optional
        Column of ids; ``None`` numbers the rows from 0.
    prompt : str, optional
        Column of prompts; ``None`` takes them from the conversations.
    response_a, response_b : str
        Columns of responses, or of whole conversations: lists of messages with
        a role and a content. The users' turns are then the prompt, the
        assistants' the response.
    outcome : OneHotColumns, LabelColumn or ChosenFirst
        How the file states who won.
    model_a, model_b, language : str, optional
        Read where the file has them; ``None`` ignores them.
    texts : {"json_list", "plain", "conversation", "transcript"}
        What a text cell holds: a JSON list of turns, one plain turn, a JSON list
        of messages, or turns that begin with ``Human:`` and ``Assistant:``.
        Columns that already are lists are taken as they are either way.
    turn : str, optional
        Column that says how many turns of a conversation were judged.
    layout : str
        The known layout this is, or is nearest to; it names a submission's columns.
    exchange : int, optional
        Exchange the sides at random by this seed, where outcomes are read: for
        files in which the chosen response always comes first.

    Examples
    --------
    >>> BattleSchema(prompt="question", texts="plain").prompt
    'question'
    """

    id: str | None = "id"
    prompt: str | None = "prompt"
    response_a: str = "response_a"
    response_b: str = "response_b"
    outcome: Outcome = field(default_factory=OneHotColumns)
    model_a: str | None = "model_a"
    model_b: str | None = "model_b"
    language: str | None = None
    texts: TextFormat = "json_list"
    turn: str | None = None
    layout: str = "arena"
    exchange: int | None = None

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a file holds no battles."""
        named = (self.id, self.prompt, self.response_a, self.response_b, self.turn)
        return tuple(name for name in named if name is not None)

    @property
    def text_roles(self) -> dict[str, str]:
        """Canonical name of each text column of the file -> its name there."""
        roles = {name: getattr(self, name) for name in TEXTS}
        return {role: name for role, name in roles.items() if name is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as JSON holds it, for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> BattleSchema:
        """Return the schema that `to_dict` wrote.

        Examples
        --------
        >>> BattleSchema.from_dict(WSDM.to_dict()) == WSDM
        True
        """
        outcome: dict[str, Any] = {
            name: tuple(words) if isinstance(words, list) else words
            for name, words in value["outcome"].items()
        }
        kind = LabelColumn if "column" in outcome else OneHotColumns if outcome else ChosenFirst
        return cls(**{**value, "outcome": kind(**outcome)})


ARENA = BattleSchema()
"""Kaggle "LLM Classification Finetuning" and the Chatbot Arena release of the same rows."""

WSDM = BattleSchema(outcome=LabelColumn(), language="language", texts="plain", layout="wsdm")
"""Kaggle "WSDM Cup - Multilingual Chatbot Arena": plain strings, two outcomes, a language."""


def swap_battles(battles: Frame) -> Frame:
    """Canonical battles with sides a and b exchanged, outcome included.

    Examples
    --------
    >>> battles = pl.DataFrame({"response_a": [["x"]], "response_b": [["y"]], "label": [0]})
    >>> swap_battles(battles).row(0)
    (['y'], ['x'], 1)
    """
    names = battles.collect_schema().names()
    swapped = swap(battles, BATTLE_PARITY)
    if "label" not in names:
        return swapped
    label = pl.col("label")
    return swapped.with_columns(pl.when(label < 2).then(1 - label).otherwise(label).alias("label"))
