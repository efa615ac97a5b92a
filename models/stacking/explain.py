"""Why a battle is predicted as it is: exact Shapley values over families of columns.

A prediction is compared with that for the battle of like sides, which parity
gives for free: odd columns are 0, even ones lie at the mean of the training
battles. Between the two stand all coalitions of families that have their own
values while the others have those of like sides; a family's effect is its mean
step over all orders in which families can join (Shapley, "A value for n-person
games", 1953; Strumbelj and Kononenko, "An efficient explanation of individual
classifications using game theory", JMLR 11, 2010). Nothing is sampled, so the
effects add up to the whole difference, and exchanging the sides of a battle
changes the sign of every effect on P(A) - P(B) and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import factorial
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.columns import Column
from featlab.errors import BundleError
from featlab.features import BattleColumns
from featlab.features.feature import Scope
from featlab.parity import Parity
from models.probabilities import Floats, Probabilities
from models.stacking.blend import Blend
from models.stacking.calibration import apply_temperature
from models.stacking.out_of_fold import prepare
from models.stacking.predictor import Predictor

Mask = NDArray[np.bool_]

MOST_FAMILIES = 13
"""Families that stand alone: coalitions double with each."""

OTHERS = "other families"
_SHOWN_FAMILIES, _SHOWN_FEATURES, _SHOWN_LINE = 4, 2, 72
_LINES = 400


@dataclass(frozen=True)
class Explanation:
    """One battle explained; ``print`` shows it as text.

    Parameters
    ----------
    probabilities : tuple of float
        Of a, b and tie.
    families : DataFrame
        ``family, margin, tie``: what each adds to P(A) - P(B), the strongest
        first, and to P(tie).
    features : DataFrame
        ``family, feature, meaning, margin, a, b``: by how much P(A) - P(B) falls
        without each feature alone (these do not add up), and the two sides'
        values where it has them.
    passages : mapping of str to (str, str)
        Feature -> the line of each response that has most of it.
    """

    probabilities: tuple[float, float, float]
    families: pl.DataFrame = field(repr=False)
    features: pl.DataFrame = field(repr=False)
    passages: Mapping[str, tuple[str, str]] = field(repr=False)

    @property
    def margin(self) -> float:
        """P(A) - P(B): what the families' margins add up to."""
        return self.probabilities[0] - self.probabilities[1]

    def __str__(self) -> str:
        a, b, tie = self.probabilities
        side = "A" if self.margin >= 0 else "B"
        reasons = ", ".join(
            f"{family} {_signed(effect)}" for family, effect, _ in self.families.rows()
        )
        lines = [
            f"A {_short(a)}, B {_short(b)}, tie {_short(tie)}",
            f"{side} by {_short(abs(self.margin))}; for A: {reasons}",
        ]
        for family in self.families["family"].head(_SHOWN_FAMILIES):
            of = self.features.filter(family=family).head(_SHOWN_FEATURES)
            for row in of.iter_rows(named=True):
                values = "" if row["a"] is None else f": A {row['a']:.4g}, B {row['b']:.4g}"
                lines.append(f"  {family}: {row['meaning']}{values} ({_signed(row['margin'])})")
                lines += [
                    f"    {side}: {line}"
                    for side, line in zip("AB", self.passages.get(row["feature"], ()), strict=False)
                    if line
                ]
        return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{_short(abs(value))}"


@dataclass(frozen=True)
class LikeSides:
    """What predicts, between a battle and the battle of like sides.

    Parameters
    ----------
    columns : tuple of Column
        The columns of the table.
    means : mapping of str to float
        Even column -> its mean over the training battles.
    blend : Blend
    temperature : float
    """

    columns: tuple[Column, ...]
    means: Mapping[str, float] = field(repr=False)
    blend: Blend = field(repr=False)
    temperature: float

    @classmethod
    def of(cls, predictor: Predictor) -> Self:
        """Take what a bundle predicts with.

        Raises
        ------
        BundleError
            When the bundle does not hold the means of its even columns.
        """
        if predictor.trained_on is None:
            raise BundleError(
                "this bundle does not hold the means that an explanation needs; train again"
            )
        means = predictor.trained_on.means
        return cls(predictor.columns, means, predictor.blend, predictor.temperature)

    @cached_property
    def baseline(self) -> Floats:
        """The battle of like sides, shape (columns,)."""
        means = self.means
        return np.array(
            [0.0 if c.parity is Parity.ODD else means.get(c.name, np.nan) for c in self.columns]
        )

    @cached_property
    def families(self) -> dict[str, Mask]:
        """Family -> which columns are its own; the smallest ones together where there are many."""
        sizes: dict[str, int] = {}
        for column in self.columns:
            sizes[column.family] = sizes.get(column.family, 0) + 1
        return self._apart(sorted(sizes, key=lambda family: -sizes[family])[:MOST_FAMILIES])

    def strongest(self, battle: Floats, count: int) -> dict[str, Mask]:
        """Return `families` with so many alone as move P(A) - P(B) of a battle most by themselves.

        That is, when all others are those of like sides, or their own. Coalitions
        of few families cost little, and the others still count as one of them.
        """
        every = self._apart({column.family for column in self.columns})
        own = np.stack(list(every.values()))
        found = self.values(battle, np.vstack([own, ~own, np.ones_like(own[:1])]))
        margins = found[:, 0] - found[:, 1]
        alone, without = margins[: len(own)], margins[len(own) : -1]
        moved = np.abs(alone) + np.abs(margins[-1] - without)
        return self._apart([list(every)[place] for place in np.argsort(-moved)[:count]])

    def _apart(self, alone: Collection[str]) -> dict[str, Mask]:
        names = [c.family if c.family in alone else OTHERS for c in self.columns]
        return {name: np.array(names) == name for name in dict.fromkeys(names)}

    def values(self, battle: Floats, kept: Mask) -> Probabilities:
        """Return probabilities of a battle that keeps some columns, a row for each set of them.

        Parameters
        ----------
        battle : float64 array of shape (columns,)
        kept : bool array of shape (sets, columns)
            The others take the values of like sides.
        """
        frame = pl.DataFrame(
            np.where(kept, battle, self.baseline), [column.name for column in self.columns]
        )
        return apply_temperature(self.blend.predict(frame), self.temperature)

    def effects(self, battle: Floats, families: Mapping[str, Mask] | None = None) -> Floats:
        """Return each family's Shapley value for P(A) - P(B) and P(tie): shape (families, 2)."""
        own = np.stack(list((families or self.families).values())).astype(float)
        count = len(own)
        coalitions = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        found = self.values(battle, (coalitions @ own).astype(bool))
        gains = np.stack([found[:, 0] - found[:, 1], found[:, 2]], axis=1)
        sizes = coalitions.sum(axis=1)
        weight = np.array(
            [factorial(n) * factorial(count - n - 1) / factorial(count) for n in range(count)]
        )
        effects = np.empty((count, 2))
        for family in range(count):
            without = np.flatnonzero(coalitions[:, family] == 0)
            steps = gains[without + (1 << family)] - gains[without]
            effects[family] = (weight[sizes[without], None] * steps).sum(axis=0)
        return effects


def family_effects(
    predictor: Predictor, battles: pl.DataFrame, on_battle: Callable[[int], None] | None = None
) -> pl.DataFrame:
    """Return ``id, family, margin, tie`` for canonical battles, a row each battle and family.

    Parameters
    ----------
    predictor : Predictor
    battles : DataFrame
    on_battle : callable, optional
        Called with the number of explained battles, after each.
    """
    like, table = LikeSides.of(predictor), _numbers(predictor, battles.lazy())
    names = list(like.families)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "id": battles["id"].dtype,
        "family": pl.String,
        "margin": pl.Float64,
        "tie": pl.Float64,
    }
    parts = [pl.DataFrame(schema=schema)]
    for row, battle in enumerate(table):
        effects = like.effects(battle)
        ids = battles["id"][[row] * len(names)]
        parts.append(
            pl.DataFrame(
                {"id": ids, "family": names, "margin": effects[:, 0], "tie": effects[:, 1]}
            )
        )
        if on_battle is not None:
            on_battle(row + 1)
    return pl.concat(parts)


def explain_battle(predictor: Predictor, battle: pl.LazyFrame) -> Explanation:
    """Explain one canonical battle.

    Raises
    ------
    BundleError
        When the bundle does not hold the means of its even columns.
    """
    like, (values,) = LikeSides.of(predictor), _numbers(predictor, battle)
    effects = like.effects(values)
    families = pl.DataFrame(
        {"family": list(like.families), "margin": effects[:, 0], "tie": effects[:, 1]}
    ).sort(pl.col("margin").abs(), descending=True)
    (whole,) = like.values(values, np.ones((1, len(values)), bool))
    features = _feature_effects(like, values, _side_values(predictor, battle))
    strongest = [
        name
        for family in families["family"].head(_SHOWN_FAMILIES)
        for name in features.filter(family=family)["feature"].head(_SHOWN_FEATURES)
    ]
    return Explanation(
        (float(whole[0]), float(whole[1]), float(whole[2])),
        families,
        features,
        _passages(predictor, strongest, battle),
    )


def _numbers(predictor: Predictor, battles: pl.LazyFrame) -> Floats:
    return predictor.table(battles).cast(pl.Float64).to_numpy()


def _feature_effects(
    like: LikeSides, values: Floats, sides: Mapping[str, tuple[float, float]]
) -> pl.DataFrame:
    features = [column.feature for column in like.columns]
    names = list(dict.fromkeys(features))
    kept = np.stack([np.array(features) != name for name in (*names, None)])
    found = like.values(values, kept)
    margins = found[:, 0] - found[:, 1]
    first = {column.feature: column for column in reversed(like.columns)}
    rows = []
    for name, without in zip(names, margins[:-1], strict=True):
        meaning = first[name].meaning.rpartition(" of: ")[2]
        if name in sides:
            # Its own column of the prompt may come first.
            meaning = meaning.removeprefix("of the prompt: ")
        a, b = sides.get(name, (None, None))
        rows.append((first[name].family, name, meaning, margins[-1] - without, a, b))
    schema = {
        "family": pl.String, "feature": pl.String, "meaning": pl.String,
        "margin": pl.Float64, "a": pl.Float64, "b": pl.Float64,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema, orient="row")
    return frame.sort(pl.col("margin").abs(), descending=True, maintain_order=True)


def _side_values(predictor: Predictor, battle: pl.LazyFrame) -> dict[str, tuple[float, float]]:
    """Return feature -> its values for response a and response b."""
    found = {}
    for fitted in predictor.signals.values():
        side = [column for column in fitted[0].columns() if column.parity is Parity.SIDE]
        if side:
            (row,) = fitted[0].transform(prepare(fitted[0], battle)).iter_rows(named=True)
            for column in side:
                twin = column.name.replace("response_a__", "response_b__", 1)
                if twin != column.name and row[column.name] is not None and row[twin] is not None:
                    found[column.feature] = (float(row[column.name]), float(row[twin]))
    return found


def _passages(
    predictor: Predictor, features: Sequence[str], battle: pl.LazyFrame
) -> dict[str, tuple[str, str]]:
    """Return feature -> the line of each side that has most of it, taken by itself."""
    text = getattr(predictor.signals.get("text", [None])[0], "battle_columns", None)
    if not isinstance(text, BattleColumns):
        return {}
    counted = [
        feature.name
        for feature in text.available
        if feature.name in features and Scope.RESPONSE in feature.scopes
    ]
    if not counted:
        return {}
    found: dict[str, list[str]] = {name: [] for name in counted}
    columns = BattleColumns(text.available, (), counted)
    for side in ("response_a", "response_b"):
        (turns,) = battle.select(side).collect().to_series().to_list()
        lines = [line for turn in turns for line in turn.splitlines() if line.strip()][:_LINES]
        texts = {name: [[line] for line in lines] for name in ("prompt", *_SIDES)}
        flags = {f"{name}__null": [False] * len(lines) for name in texts}
        frame = pl.LazyFrame({**texts, **flags}, _LINE_SCHEMA)
        fired = columns.compute(frame, keep=()).collect()
        for name in counted:
            amount = fired[f"response_a__{name}"].cast(pl.Float64).fill_null(0.0).fill_nan(0.0)
            most = amount.arg_max()
            fires = most is not None and amount[most] > 0
            found[name].append(
                lines[most].strip()[:_SHOWN_LINE] if fires and most is not None else ""
            )
    return {name: (sides[0], sides[1]) for name, sides in found.items()}


_SIDES = ("response_a", "response_b")
_LINE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("prompt", *_SIDES), pl.List(pl.String)),
    **dict.fromkeys((f"{name}__null" for name in ("prompt", *_SIDES)), pl.Boolean),
}
