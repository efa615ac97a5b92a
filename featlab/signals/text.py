"""The text signal: every declared feature of a battle; nothing is learned."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

from featlab.battles.sources import first_line
from featlab.columns import Column
from featlab.errors import BundleError, FeatureError
from featlab.features import FEATURES, BattleColumns, Feature
from featlab.features.own import load_features
from featlab.files import file_fingerprint
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Cost, Signal
from featlab.signals.state import State

ADDRESS = "text+"
"""How bundles name text signals with features of a file, followed by the file's name."""

_PLANNED_ALREADY = pl.QueryOptFlags.none(projection_pushdown=True)
"""The plan shares what can be shared; the engine's own search takes half of a battle's time."""


class TextSignal(Signal[pl.DataFrame]):
    """Columns of declared features, both sides and their pairings.

    Parameters
    ----------
    features : iterable of Feature, optional
        What there is to select from, `available` by default.
    families : iterable of str, optional
        Keep the features of these families.

    Examples
    --------
    >>> signal = TextSignal(families=["newlines"])
    >>> signal.columns()[0].name
    'prompt__newlines'
    """

    name = "text"
    cost = Cost.NOTHING

    available: ClassVar[tuple[Feature, ...]] = FEATURES

    def __init__(
        self, features: Iterable[Feature] | None = None, families: Iterable[str] | None = None
    ) -> None:
        self.battle_columns = BattleColumns(
            self.available if features is None else features, families
        )

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the signal of the chosen families."""
        return cls(families=context.families)

    def columns(self) -> tuple[Column, ...]:
        """Return every column in order."""
        return self.battle_columns.columns

    def prepare(self, battles: pl.LazyFrame) -> pl.DataFrame:
        """Compute the columns, streaming.

        Raises
        ------
        FeatureError
            When a feature gives what its dtype cannot hold.
        """
        try:
            return self.battle_columns.compute(battles, keep=()).collect(
                engine="streaming", optimizations=_PLANNED_ALREADY
            )
        except pl.exceptions.InvalidOperationError as error:
            raise FeatureError(f"a feature cannot be computed: {first_line(error)}") from error

    def fit(self, prepared: pl.DataFrame, outcomes: Outcomes, rows: Rows) -> Self:
        """Return itself: there is nothing to learn."""
        return self

    def transform(self, prepared: pl.DataFrame, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all."""
        return prepared if rows is None else prepared[rows]

    def state(self) -> State:
        """Return the families; the features themselves are code."""
        families = sorted({column.family for column in self.columns()})
        return State(values={"families": families})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the signal of the saved families."""
        return cls(families=state.values["families"])

    def recipe(self) -> dict[str, Any]:
        """Return the fingerprint of every expression."""
        return {"columns": self.battle_columns.fingerprint()}


def text_signal_with(file: Path) -> type[TextSignal]:
    """Return the text signal with the features of a file beside the built-in ones.

    Raises
    ------
    FeatureError
        When the file declares none, or one that is there already.
    """
    return _text_signal_with(file, file.resolve(), file_fingerprint(file) if file.is_file() else "")


@lru_cache(maxsize=8)
def _text_signal_with(file: Path, place: Path, content: str) -> type[TextSignal]:
    """Load once what has the same content in the same place."""
    own = load_features(file)
    features, families = (*FEATURES, *own), {feature.family for feature in own}
    BattleColumns(features).check_names()

    class OwnTextSignal(TextSignal):
        address = ADDRESS + file.name
        available = features

        def state(self) -> State:
            return State(values={**super().state().values, "file": content})

        @classmethod
        def from_state(cls, state: State) -> Self:
            if state.values.get("file") != content:
                raise BundleError(
                    f"{file} is not as it was when the ensemble was trained; give it as it was, or "
                    "train again"
                )
            return super().from_state(state)

        @classmethod
        def from_settings(cls, context: Context, fold: int) -> Self:
            # Whoever names families means the built-in ones: own features join in any case.
            chosen = context.families
            return cls(families=None if chosen is None else (*chosen, *families))

    return OwnTextSignal
