"""What runs say of their battles out of fold, and whether one id is one battle in all of them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from featlab.battles import PROBABILITIES
from featlab.errors import ConfigError
from models.checked_json import checked_json
from models.probabilities import Probabilities
from models.stacking.bundle import MANIFEST
from pipelines.run.folder import RunFolder
from pipelines.run.run import read_manifest


def read_out_of_fold(run: RunFolder) -> pl.DataFrame:
    """Return ``id`` as text, ``label``, and the probabilities of the outcomes that the run has."""
    frame = pl.read_parquet(run.out_of_fold, glob=False)
    return frame.with_columns(pl.col("id").cast(pl.String))


def three_outcomes(frame: pl.DataFrame) -> Probabilities:
    """Return the probabilities of three outcomes; without ties, a tie has none.

    Examples
    --------
    >>> three_outcomes(pl.DataFrame({"winner_model_a": [0.4], "winner_model_b": [0.6]})).tolist()
    [[0.4, 0.6, 0.0]]
    """
    stated: Probabilities = frame.select(
        pl.col(name) if name in frame.columns else pl.lit(0.0).alias(name) for name in PROBABILITIES
    ).to_numpy()
    return stated


def require_common_ids(runs: Sequence[RunFolder]) -> None:
    """See that one id is one battle in all of some finished runs.

    Ids of a column are taken at their word. Where rows are numbered, a number is
    the same battle in the same files only.

    Raises
    ------
    ConfigError
        When the battles of a run are numbered, and another was trained on files of
        other content, or with ids of another column.
    """
    columns = [checked_json(run.bundle / MANIFEST, _BUNDLE)["schema"]["id"] for run in runs]
    inputs = [
        tuple(read_manifest(run)["stages"]["battles"]["made_from"]["inputs"].values())
        for run in runs
    ]
    if None in columns and len({*zip(columns, inputs, strict=True)}) > 1:
        raise ConfigError(
            f"the battles of {runs[columns.index(None)].path} have no ids but the numbers of their "
            "rows, which are other battles in another file; compare runs of one training file"
        )


class _Schema(TypedDict):
    id: str | None


class _Bundle(TypedDict):
    schema: _Schema


_BUNDLE = TypeAdapter(_Bundle)
