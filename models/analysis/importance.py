"""What the stacker's models look at: gain, and contributions to single predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lightgbm as lgb
import numpy as np
import polars as pl

from models.evaluation.intervals import Floats
from models.stacking.table import Matrix


def column_importance(
    models: Mapping[int, lgb.Booster], rows: Mapping[int, Matrix], columns: Sequence[str]
) -> pl.DataFrame:
    """Each column's importance in each fold's model.

    Parameters
    ----------
    models : mapping of int to Booster
        Fold -> a model that never saw it.
    rows : mapping of int to float32 array of shape (n, columns)
        Fold -> battles of it, to explain.
    columns : sequence of str

    Returns
    -------
    DataFrame
        ``fold, column, gain, contribution``: the share of all gain, and the
        share of the mean absolute TreeSHAP contribution (Lundberg and others,
        "From local explanations to global understanding with explainable AI
        for trees", Nature Machine Intelligence 2, 2020) over rows and classes.
    """
    return pl.concat(
        pl.DataFrame(
            {
                "fold": fold,
                "column": columns,
                "gain": _shares(model.feature_importance("gain")),
                "contribution": _shares(_contributions(model, rows[fold])),
            }
        )
        for fold, model in models.items()
    )


def grouped_importance(
    importance: pl.DataFrame, group_of: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Importance summed over columns, with its spread over the fold models.

    Parameters
    ----------
    importance : DataFrame
        From `column_importance`.
    group_of : mapping of str to str, optional
        Column -> its feature or family; by default each stands for itself.

    Returns
    -------
    DataFrame
        ``group, columns, gain, gain_low, gain_high, contribution,
        contribution_low, contribution_high``: the mean over the fold models,
        the least and the greatest; the largest contribution first.
    """
    column = pl.col("column")
    group = column if group_of is None else column.replace_strict(dict(group_of))
    kinds = ("gain", "contribution")
    by_model = (
        importance.with_columns(group.alias("group"))
        .group_by("fold", "group")
        .agg(pl.len().alias("columns"), *(pl.col(kind).sum() for kind in kinds))
    )
    spread = [
        summary
        for kind in kinds
        for summary in (
            pl.col(kind).mean(),
            pl.col(kind).min().alias(f"{kind}_low"),
            pl.col(kind).max().alias(f"{kind}_high"),
        )
    ]
    return (
        by_model.group_by("group")
        .agg(pl.col("columns").first(), *spread)
        .sort(["contribution", "group"], descending=[True, False])
    )


def _contributions(model: lgb.Booster, rows: Matrix) -> Floats:
    """Mean absolute contribution of each column over rows and classes, shape (columns,)."""
    explained = np.asarray(model.predict(rows, pred_contrib=True), float)
    by_class = explained.reshape(len(rows), 3, -1)[:, :, :-1]
    mean: Floats = np.abs(by_class).mean(axis=(0, 1))
    return mean


def _shares(values: Floats) -> Floats:
    total = float(np.sum(values))
    shares: Floats = np.asarray(values, float) / total if total else np.zeros(len(values))
    return shares
