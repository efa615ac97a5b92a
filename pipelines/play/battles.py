"""The battles of a run, with what the voter chose and what the model said before it knew."""

from __future__ import annotations

import polars as pl

from featlab.battles import OUTCOMES, PROBABILITIES
from pipelines.run.folder import RunFolder
from pipelines.run.run import require_finished

TEXTS = ("prompt", "response_a", "response_b")
_NAMES = ("model_a", "model_b")


def read_voted(run: RunFolder) -> pl.DataFrame:
    """Return the battles of a finished run in their canonical columns, votes and predictions.

    Returns
    -------
    The columns of ``battles.parquet``, ``model_a`` and ``model_b`` (null where
    the training file names none), ``vote`` (a, b or tie), and the out-of-fold
    probabilities as ``stated_a`` and so on, for the outcomes that the run has.

    Raises
    ------
    ConfigError
        When the run is not finished.
    """
    require_finished(run, "battles", "folds", "blend", "metrics")
    battles, stated = (pl.read_parquet(file, glob=False) for file in (run.battles, run.out_of_fold))
    return battles.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in _NAMES if name not in battles.columns),
        pl.Series("vote", [OUTCOMES[label] for label in stated["label"]]),
        *(
            stated[column].alias(f"stated_{outcome}")
            for outcome, column in zip(OUTCOMES, PROBABILITIES, strict=True)
            if column in stated.columns
        ),
    )
