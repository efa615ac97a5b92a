"""The schema of a battle: which column of a file plays which role, and what comes out.

Whatever the file looks like, reading gives one canonical frame:

====================================  ============  =========================================
column                                dtype         meaning
====================================  ============  =========================================
``id``                                as read       unique
``prompt, response_a, response_b``    List(String)  turns; no nulls inside, valid Unicode
``prompt__null, ...``                 Boolean       the cell or one of its turns was null
``label``                             Int8          0 a won, 1 b won, 2 tie; training files
``model_a, model_b``                  String        only where the file names the models
``language``                          String        only where the file states it
====================================  ============  =========================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

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
class OneHotColumns:
    """The outcome as three columns of 0 and 1, exactly one of them 1."""

    a: str = "winner_model_a"
    b: str = "winner_model_b"
    tie: str = "winner_tie"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file that this outcome needs."""
        return (self.a, self.b, self.tie)


@dataclass(frozen=True)
class LabelColumn:
    """The outcome as one column that names the winner."""

    column: str = "winner"
    a: str = "model_a"
    b: str = "model_b"
    tie: str = "tie"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file that this outcome needs."""
        return (self.column,)


@dataclass(frozen=True)
class BattleSchema:
    """Column roles of a battle file.

    Parameters
    ----------
    id, prompt, response_a, response_b : str
        Names of the columns in the file.
    outcome : OneHotColumns or LabelColumn
        How the file states who won.
    model_a, model_b, language : str, optional
        Read where the file has them; ``None`` ignores them.
    texts : {"json_list", "plain"}
        Whether a text cell is a JSON list of turns or one plain turn.
        Columns that already are lists are taken as turns either way.

    Examples
    --------
    >>> BattleSchema(prompt="question", texts="plain").prompt
    'question'
    """

    id: str = "id"
    prompt: str = "prompt"
    response_a: str = "response_a"
    response_b: str = "response_b"
    outcome: OneHotColumns | LabelColumn = field(default_factory=OneHotColumns)
    model_a: str | None = "model_a"
    model_b: str | None = "model_b"
    language: str | None = None
    texts: TextFormat = "json_list"

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which a file holds no battles."""
        return (self.id, self.prompt, self.response_a, self.response_b)

    @property
    def text_roles(self) -> dict[str, str]:
        """Canonical name of each text column -> its name in the file."""
        return {name: getattr(self, name) for name in TEXTS}


ARENA = BattleSchema()
"""Kaggle "LLM Classification Finetuning" and the Chatbot Arena release of the same rows."""

WSDM = BattleSchema(outcome=LabelColumn(), language="language", texts="plain")
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
