"""Further battles that only ever train: files with or without ties, names, soft labels.

They come with three optional columns that signals read where they are there:

==========================  =======  =======================================================
column                      dtype    meaning
==========================  =======  =======================================================
``tie_known``               Boolean  false where the battle's source holds no ties
``weight``                  Float64  how many battles a row counts for
``winner_model_a, ...``     Float64  a teacher's probabilities, where the file states those,
                                     or the shares of several votes on one battle
==========================  =======  =======================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import polars as pl

from featlab.battles.checking import check_battles, explained, settled
from featlab.battles.layouts import recognise
from featlab.battles.outcome_columns import OneHotColumns
from featlab.battles.reading import read_battles, select_roles
from featlab.battles.schema import PROBABILITIES, TEXTS, TIE, BattleSchema
from featlab.battles.turns import battle_key
from featlab.errors import BattleError, ConfigError

TIE_KNOWN = "tie_known"
"""Column: false on battles whose source holds no ties; null or absent counts as true."""

WEIGHT = "weight"

HEAVIEST = 1_000
"""Battles that one may count for; far beyond, fits lose their numerical footing."""
"""Column: how many battles a row counts for; null or absent counts as 1."""

_TOLERANCE = 0.01


@dataclass(frozen=True)
class ExtraFile:
    """A file of further battles and how much each of them counts.

    Examples
    --------
    >>> ExtraFile.parse("more.parquet:0.5")
    ExtraFile(path=PosixPath('more.parquet'), weight=0.5)
    >>> ExtraFile.parse("more.csv").weight
    1.0
    """

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``FILE`` or ``FILE:WEIGHT``.

        Raises
        ------
        ConfigError
            When the weight is not above 0.
        """
        name, colon, tail = text.rpartition(":")
        try:
            weight = float(tail) if colon else 1.0
        except ValueError:
            return cls(Path(text))
        if not 0 < weight <= HEAVIEST:
            raise ConfigError(
                f"extra battles {text!r}: the weight must be a number above 0, at most {HEAVIEST:,}"
            )
        return cls(Path(name if colon else text), weight)


def read_extra(extra: ExtraFile, schema: BattleSchema | None = None) -> pl.DataFrame:
    """Battles for the training side, with the columns named above.

    A file without a single tie is taken as one from which ties were removed:
    its battles tell who wins, and nothing about how often nobody does. Three
    outcome columns that hold probabilities are soft labels. Rows of the same
    texts are votes on one battle, which counts once: their mean is a soft label
    as well. The label is then the likeliest outcome, a tie where neither side is
    likelier than the other. Ids become text and carry the file's name.

    Parameters
    ----------
    extra : ExtraFile
    schema : BattleSchema, optional
        Which column plays which role; recognised from the columns by default.

    Raises
    ------
    BattleError
        When the file cannot be read or its outcomes are neither.
    """
    source = str(extra.path)
    known = schema or recognise(extra.path).schema
    soft = _soft_labels(extra.path, known)
    if soft is None:
        check_battles(extra.path, known, require_outcome=True, unique_ids=False)
        found, _ = settled(extra.path, known)
        known = replace(found, id=known.id)
    with explained(extra.path, known):
        battles = read_battles(extra.path, known, require_outcome=True).collect()
    if battles.is_empty():
        raise BattleError("there is no battle in it", source=source)
    if soft is not None:
        battles = battles.hstack(soft).with_columns(label=_likeliest())
    ties = soft is not None or bool((battles["label"] == TIE).any())
    battles = _votes_joined(battles)
    if not ties:
        # As many votes for a as for b: no tie, and yet nobody has won.
        battles = battles.filter(pl.col("label") != TIE)
    return battles.with_columns(
        pl.format("{}:{}", pl.lit(extra.path.stem), "id").alias("id"),
        pl.lit(ties).alias(TIE_KNOWN),
        pl.lit(extra.weight).alias(WEIGHT),
    )


def _soft_labels(path: Path, schema: BattleSchema) -> pl.DataFrame | None:
    """Return the outcome columns as probabilities, or nothing where they are plain outcomes."""
    if not isinstance(schema.outcome, OneHotColumns) or len(schema.outcome.names) < 3:
        return None
    roles = select_roles(path, schema)
    stated = [f"outcome::{index}" for index in range(3)]
    if not set(stated) <= set(roles.collect_schema()):
        return None
    values = roles.select(
        pl.col(name).cast(pl.Float64, strict=False).alias(role)
        for name, role in zip(stated, PROBABILITIES, strict=True)
    ).collect()
    distribution = (
        pl.all_horizontal(pl.col(PROBABILITIES).is_between(0, 1))
        & ((pl.sum_horizontal(PROBABILITIES) - 1).abs() <= _TOLERANCE)
    ).fill_null(False)
    fractional = pl.any_horizontal(pl.col(PROBABILITIES).is_between(0, 1, closed="none"))
    if not values.select((distribution.all() & fractional.any()).fill_null(False)).item():
        return None
    return values.with_columns(pl.col(PROBABILITIES) / pl.sum_horizontal(PROBABILITIES))


def _votes_joined(battles: pl.DataFrame) -> pl.DataFrame:
    """Return the same battles, each once; the rows of one become the shares of its outcomes."""
    if not battles.select(pl.struct(TEXTS).is_duplicated().any()).item():
        return battles
    if not set(PROBABILITIES) <= set(battles.columns):
        battles = battles.with_columns(
            (pl.col("label") == outcome).cast(pl.Float64).alias(name)
            for outcome, name in enumerate(PROBABILITIES)
        )
    rest = [name for name in battles.columns if name not in {*TEXTS, *PROBABILITIES}]
    return (
        battles.group_by(TEXTS, maintain_order=True)
        .agg(pl.col(rest).first(), pl.col(PROBABILITIES).mean())
        .select(battles.columns)
        .with_columns(label=_likeliest())
    )


def _likeliest() -> pl.Expr:
    a, b, tie = (pl.col(name) for name in PROBABILITIES)
    wins = [(a > b) & (a > tie), (b > a) & (b > tie)]
    return pl.when(wins[0]).then(0).when(wins[1]).then(1).otherwise(TIE).cast(pl.Int8)


def without_prompts_of(extra: pl.DataFrame, battles: pl.DataFrame) -> pl.DataFrame:
    """Return the extra battles whose prompt is not among some battles' prompts.

    Every prompt of the training file is held out in one fold, so none of them
    may come back through the extra files, whatever its answers. A battle without
    a prompt is held out by itself, so it is told by its responses.

    Examples
    --------
    >>> extra = pl.DataFrame({"prompt": [["Tell me a  joke"], ["Why?"]]})
    >>> without_prompts_of(extra, pl.DataFrame({"prompt": [["tell me a joke"]]})).height
    1
    """
    known = battles.select(battle_key(battles.columns).alias("::key")).unique()
    return (
        extra.with_columns(battle_key(battles.columns).alias("::key"))
        .join(known, on="::key", how="anti", maintain_order="left")
        .drop("::key")
    )
