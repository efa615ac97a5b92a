"""The settings that say how battle files are laid out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from featlab.errors import ConfigError

# What reads battles is imported where they are read: --help waits for no table engine.
if TYPE_CHECKING:
    from featlab.battles import Recognised, Source
    from featlab.battles.outcome_columns import Outcome

Layouts = Literal[
    "auto",
    "arena-33k",
    "mt-bench",
    "arena-100k",
    "arena-140k",
    "chosen-rejected",
    "wsdm",
    "arena",
]
Texts = Literal["json_list", "plain", "conversation", "transcript"]


class BattleSettings(BaseModel):
    """The layout of battle files, recognised from their columns unless it is said here."""

    model_config = ConfigDict(extra="forbid")

    layout: Layouts = Field("auto", description="known layout; auto tells it from the columns")
    id: str | None = Field(None, description="column of ids")
    prompt: str | None = Field(None, description="column of prompts")
    response_a: str | None = Field(None, description="column of first responses")
    response_b: str | None = Field(None, description="column of second responses")
    conversation_a: str | None = Field(None, description="column of first conversations")
    conversation_b: str | None = Field(None, description="column of second conversations")
    chosen: str | None = Field(None, description="column of responses that were chosen")
    rejected: str | None = Field(None, description="column of responses that were rejected")
    outcome: list[str] | None = Field(
        None, description="one column that names the winner, or three (two) of 0 and 1"
    )
    winner: str | None = Field(None, description="as --battles.outcome with one column")
    a_words: list[str] | None = Field(None, description="words for: a won")
    b_words: list[str] | None = Field(None, description="words for: b won")
    tie_words: list[str] | None = Field(None, description="words for: nobody won")
    model_a: str | None = Field(None, description="column of first models' names")
    model_b: str | None = Field(None, description="column of second models' names")
    language: str | None = Field(None, description="column of languages")
    texts: Texts | None = Field(None, description="what a text cell holds")

    def recognised(self, source: Source, seed: int = 0) -> Recognised:
        """Return the schema of a file: as set here, and recognised where nothing is set.

        Parameters
        ----------
        source : path, pattern or frame
        seed : int
            Exchanges the sides of files in which the chosen response comes first.

        Raises
        ------
        ConfigError
            When settings contradict each other.
        BattleError
            When the file cannot be read.
        """
        from featlab.battles import ChosenFirst, Recognised, recognise

        found = recognise(source, self.layout, self._roles())
        schema = found.schema
        outcome = self._outcome(schema.outcome)
        exchange = seed if isinstance(outcome, ChosenFirst) else None
        return Recognised(replace(schema, outcome=outcome, exchange=exchange), found.reason)

    @property
    def by_hand(self) -> bool:
        """Whether anything is set at all."""
        return self != BattleSettings()

    def _roles(self) -> dict[str, str | None]:
        sides = {}
        for side, other in (("a", "chosen"), ("b", "rejected")):
            names = (f"response_{side}", f"conversation_{side}", other)
            given = [name for name in names if getattr(self, name)]
            if len(given) > 1:
                options = " and ".join(f"--battles.{name.replace('_', '-')}" for name in given)
                raise ConfigError(f"{options} name the same side; give one of them")
            sides[f"response_{side}"] = getattr(self, given[0]) if given else None
        kept = ("id", "prompt", "model_a", "model_b", "language", "texts")
        return sides | {name: getattr(self, name) for name in kept}

    def _outcome(self, found: Outcome) -> Outcome:
        from featlab.battles import ChosenFirst, LabelColumn, OneHotColumns

        columns = self.outcome or ([self.winner] if self.winner else [])
        if len(columns) > 3:
            raise ConfigError("--battles.outcome takes one column, or two or three of 0 and 1")
        if len(columns) > 1:
            return OneHotColumns(columns[0], columns[1], columns[2] if len(columns) > 2 else None)
        words = {
            side: tuple(given)
            for side, given in zip("ab", (self.a_words, self.b_words), strict=True)
            if given
        }
        if self.tie_words:
            words["tie"] = tuple(self.tie_words)
        if columns:
            return LabelColumn(columns[0], **words)
        if self.chosen:
            return ChosenFirst()
        if words and isinstance(found, LabelColumn):
            return LabelColumn(found.column, **words)
        if words:
            raise ConfigError("words for outcomes need their column: --battles.outcome NAME")
        return found
