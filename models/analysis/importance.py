"""What the stacker's models look at: gain, and contributions to single predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lightgbm as lgb
import numpy as np
import polars as pl

from models.analysis.intervals import Floats
from models.stacker import Matrix


def column_importance(
    models: Mapping[int, lgb.Booster], rows: Mapping[int, Matrix], columns: Sequence[str]
) -> pl.DataFrame:
    """Each column's importance, with its spread over the fold models.

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
        ``column, gain, gain_low, gain_high, contribution, contribution_low,
        contribution_high``: the share of all gain, and the share of the mean
        absolute TreeSHAP contribution (Lundberg and others, "From local
        explanations to global understanding with explainable AI for trees",
        Nature Machine Intelligence 2, 2020) over rows and classes. Values are
        means over the fold models, bounds their least and greatest.
    """
    gains = np.array([_shares(model.feature_importance("gain")) for model in models.values()])
    contributions = np.array(
        [_shares(_contributions(model, rows[fold])) for fold, model in models.items()]
    )
    return pl.DataFrame({"column": columns, **_spread("gain", gains)}).with_columns(
        **{name: pl.Series(value) for name, value in _spread("contribution", contributions).items()}
    )


def grouped_importance(importance: pl.DataFrame, group_of: Mapping[str, str]) -> pl.DataFrame:
    """Importance summed over columns: of a feature, or of a family.

    The bounds are sums too, so the spread is an upper bound on the group's own.

    Parameters
    ----------
    importance : DataFrame
        From `column_importance`.
    group_of : mapping of str to str
        Column -> its group.

    Returns
    -------
    DataFrame
        ``group``, ``columns`` and the sums, the largest contribution first.
    """
    names = [name for name in importance.columns if name != "column"]
    return (
        importance.with_columns(pl.col("column").replace_strict(dict(group_of)).alias("group"))
        .group_by("group")
        .agg(pl.len().alias("columns"), *(pl.col(name).sum() for name in names))
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


def _spread(name: str, values: Floats) -> dict[str, Floats]:
    return {
        name: values.mean(axis=0),
        f"{name}_low": values.min(axis=0),
        f"{name}_high": values.max(axis=0),
    }
