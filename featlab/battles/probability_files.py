"""Files of another model's probabilities: ``id`` and the submission's three columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles.schema import PROBABILITIES, TIE
from featlab.battles.sources import engine_explained, scan_source
from featlab.errors import BattleError

TOLERANCE = 0.0151
"""How far three probabilities may be from adding up to 1: each may be rounded to two places."""


def read_probabilities(file: Path) -> pl.DataFrame:
    """Return ``id``, String, and the probabilities, whose rows then sum to exactly 1.

    Rows with a null are left out: of those battles the file says nothing. Where
    nothing can be a tie, the column of ties may be missing.

    Parameters
    ----------
    file : Path
        CSV, parquet or JSON lines; a submission has this form.

    Raises
    ------
    BattleError
        When the file is not there, lacks a column, repeats an id, or holds
        something other than probabilities.
    """
    name = str(file)
    if not file.is_file():
        raise BattleError("there is no such file", source=name)
    with engine_explained(file, quiet=True):
        frame = scan_source(file).collect()
    if PROBABILITIES[TIE] not in frame.columns:
        # Of two outcomes, which then sum to 1 by themselves.
        frame = frame.with_columns(pl.lit(0.0).alias(PROBABILITIES[TIE]))
    if lacking := [column for column in ("id", *PROBABILITIES) if column not in frame.columns]:
        raise BattleError(
            f"has no column {', '.join(lacking)}",
            source=name,
            remedy=f"it needs id,{','.join(PROBABILITIES)}, as a submission has them",
        )
    try:
        found = frame.select(pl.col("id").cast(pl.String), pl.col(PROBABILITIES).cast(pl.Float64))
    except pl.exceptions.PolarsError:
        raise BattleError("holds probabilities that are no numbers", source=name) from None
    found = found.drop_nulls()
    if repeated := found.filter(pl.col("id").is_duplicated())["id"].unique().sort().to_list():
        raise BattleError("is not unique", source=name, column="id", rows=repeated[:3])
    total = pl.sum_horizontal(PROBABILITIES)
    good = pl.all_horizontal(pl.col(PROBABILITIES).is_between(0.0, 1.0 + TOLERANCE))
    wrong = found.filter(~(good & ((total - 1.0).abs() <= TOLERANCE)))["id"]
    if not wrong.is_empty():
        raise BattleError(
            "holds rows that are not three probabilities with sum 1",
            source=name,
            rows=wrong.head(3).to_list(),
        )
    return found.with_columns(pl.col(PROBABILITIES) / total)
