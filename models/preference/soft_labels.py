"""A teacher's probabilities: a file with `id` and the submission's three columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles import PROBABILITIES
from featlab.errors import BattleError

TOLERANCE = 0.01


def read_soft_labels(source: Path | pl.DataFrame) -> pl.DataFrame:
    """Soft labels for distillation, checked.

    Parameters
    ----------
    source : Path or DataFrame
        CSV or parquet with ``id``, ``winner_model_a``, ``winner_model_b`` and
        ``winner_tie``; a submission has this form.

    Returns
    -------
    DataFrame
        ``id`` as String and the three probabilities as Float64, each row
        summing to exactly 1.

    Raises
    ------
    BattleError
        When a column is missing, an id repeats, or a row is no distribution.

    Examples
    --------
    >>> frame = pl.DataFrame({"id": [7], **dict(zip(PROBABILITIES, ([0.5], [0.3], [0.2])))})
    >>> read_soft_labels(frame).row(0)
    ('7', 0.5, 0.3, 0.2)
    """
    name = "soft labels" if isinstance(source, pl.DataFrame) else str(source)
    frame = _read(source, name)
    missing = [column for column in ("id", *PROBABILITIES) if column not in frame.columns]
    if missing:
        raise BattleError(
            f"lacks {', '.join(missing)}",
            source=name,
            remedy=f"give id, {', '.join(PROBABILITIES)}, as a submission has them",
        )
    try:
        found = frame.select(
            pl.col("id").cast(pl.String), pl.col(PROBABILITIES).cast(pl.Float64, strict=True)
        )
    except pl.exceptions.PolarsError as error:
        raise BattleError("holds probabilities that are no numbers", source=name) from error
    total = pl.sum_horizontal(PROBABILITIES)
    valid = (
        pl.all_horizontal(pl.col(PROBABILITIES).is_finite() & (pl.col(PROBABILITIES) >= 0))
        & ((total - 1).abs() <= TOLERANCE)
    ).fill_null(False)
    wrong = found.filter(~valid)["id"].head(5).to_list()
    if wrong:
        raise BattleError("rows are no probabilities that sum to 1", source=name, rows=wrong)
    repeated = found.filter(pl.col("id").is_duplicated())["id"].unique().head(5).to_list()
    if repeated:
        raise BattleError("is not unique", source=name, column="id", rows=repeated)
    return found.with_columns(pl.col(PROBABILITIES) / total)


def with_soft_labels(battles: pl.DataFrame, source: Path | pl.DataFrame) -> pl.DataFrame:
    """Battles with a teacher's probabilities beside them; null where the teacher has none.

    Raises
    ------
    BattleError
        As `read_soft_labels`; also when not one battle has a soft label.

    Examples
    --------
    >>> teacher = pl.DataFrame({"id": [7], **dict(zip(PROBABILITIES, ([0.5], [0.3], [0.2])))})
    >>> with_soft_labels(pl.DataFrame({"id": [7, 8]}), teacher)["winner_tie"].to_list()
    [0.2, None]
    """
    soft = read_soft_labels(source)
    joined = (
        battles.with_columns(pl.col("id").cast(pl.String).alias("::id"))
        .join(soft.rename({"id": "::id"}), on="::id", how="left", maintain_order="left")
        .drop("::id")
    )
    if joined[PROBABILITIES[0]].null_count() == len(joined):
        raise BattleError(
            "has a soft label for none of the battles",
            source="soft labels" if isinstance(source, pl.DataFrame) else str(source),
            remedy="its ids must be those of the training battles",
        )
    return joined


def _read(source: Path | pl.DataFrame, name: str) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    if not source.is_file():
        raise BattleError("there is no such file", source=name)
    try:
        if source.suffix == ".parquet":
            return pl.read_parquet(source)
        return pl.read_csv(source, schema_overrides={"id": pl.String})
    except pl.exceptions.PolarsError as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise BattleError(f"cannot be read: {first_line}", source=name) from error
