"""A teacher's probabilities: a file with `id` and the submission's three columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles import PROBABILITIES, scan_source
from featlab.battles.sources import engine_explained
from featlab.errors import BattleError
from featlab.signals.outcomes import Floats

TOLERANCE = 0.01


def read_soft_labels(path: Path) -> pl.DataFrame:
    """Read soft labels for distillation, checked.

    Parameters
    ----------
    path : Path
        CSV or parquet with ``id``, ``winner_model_a``, ``winner_model_b`` and
        ``winner_tie``; a submission has this form.

    Returns
    -------
    DataFrame
        ``id`` as String and the probabilities, each row summing to exactly 1.

    Raises
    ------
    BattleError
        When it is no such file, an id repeats, or a row is no distribution.
    """
    name = str(path)
    if not path.is_file():
        raise BattleError("there is no such file", source=name)
    with engine_explained(path, quiet=True):
        frame = scan_source(path).collect()
    if missing := [column for column in ("id", *PROBABILITIES) if column not in frame.columns]:
        raise BattleError(
            f"lacks {', '.join(missing)}",
            source=name,
            remedy=f"give id, {', '.join(PROBABILITIES)}, as a submission has them",
        )
    try:
        found = frame.select(pl.col("id").cast(pl.String), pl.col(PROBABILITIES).cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise BattleError("holds probabilities that are no numbers", source=name) from error
    total = pl.sum_horizontal(PROBABILITIES)
    valid = (
        pl.all_horizontal(pl.col(PROBABILITIES).is_finite() & (pl.col(PROBABILITIES) >= 0))
        & ((total - 1).abs() <= TOLERANCE)
    ).fill_null(False)
    if wrong := found.filter(~valid)["id"].head(5).to_list():
        raise BattleError("rows are no probabilities that sum to 1", source=name, rows=wrong)
    if repeated := found.filter(pl.col("id").is_duplicated())["id"].unique().head(5).to_list():
        raise BattleError("is not unique", source=name, column="id", rows=repeated)
    return found.with_columns(pl.col(PROBABILITIES) / total)


def teacher_probabilities(path: Path, battle_ids: pl.Series) -> Floats:
    """Return a teacher's probabilities for some battles; NaN where it has none: shape (n, 3).

    Raises
    ------
    BattleError
        As `read_soft_labels`; also when it has soft labels for none of the battles.
    """
    rows = battle_ids.rename("id").to_frame()
    joined = rows.join(read_soft_labels(path), on="id", how="left", maintain_order="left")
    if joined[PROBABILITIES[0]].null_count() == len(joined):
        raise BattleError(
            "has a soft label for none of the battles",
            source=str(path),
            remedy="its ids must be those of the training battles",
        )
    return joined.select(pl.col(PROBABILITIES).fill_null(float("nan"))).to_numpy()
