"""What the trees look at: gain, contributions to single predictions, partial dependence.

Contributions are TreeSHAP's: Lundberg and others, "From local explanations to
global understanding", Nature Machine Intelligence 2, 2020. Partial dependence is
Friedman's, Annals of Statistics 29(5), 2001, section 8.2: the exchanged battle is
given the exchanged value, so that the curves are as symmetric as the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import OUTCOMES
from featlab.parity import Parity
from models.evaluation.intervals import Floats
from models.lightgbm_alone import lgb
from models.probabilities import Probabilities

Matrix = NDArray[np.float32]

GRID = 13
"""Values a column is set to: quantiles from the 2nd to the 98th percentile."""

KINDS = ("gain", "contribution")


def column_attribution(
    models: Mapping[int, lgb.Booster], rows: Mapping[int, Matrix], columns: Sequence[str]
) -> pl.DataFrame:
    """Return ``fold, column, gain, contribution``: each column's shares in each fold's model.

    Shares of all gain, and of the mean absolute contribution to predictions of
    the fold's rows, over rows and classes.
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


def grouped_attribution(attribution: pl.DataFrame, group_of: Mapping[str, str]) -> pl.DataFrame:
    """Sum `column_attribution` over columns, with its spread over the fold models.

    The columns are ``group, columns, gain, gain_low, gain_high, contribution,
    contribution_low, contribution_high``: the mean over the fold models, the
    least and the greatest; the largest contribution first.
    """
    spread = []
    for kind in KINDS:
        low, high = pl.col(kind).min().alias(f"{kind}_low"), pl.col(kind).max()
        spread += [pl.col(kind).mean(), low, high.alias(f"{kind}_high")]
    return (
        attribution.with_columns(pl.col("column").replace_strict(dict(group_of)).alias("group"))
        .group_by("fold", "group", maintain_order=True)
        .agg(pl.len().alias("columns"), *(pl.col(kind).sum() for kind in KINDS))
        .group_by("group", maintain_order=True)
        .agg(pl.col("columns").first(), *spread)
        .sort(["contribution", "group"], descending=[True, False])
    )


def _contributions(model: lgb.Booster, rows: Matrix) -> NDArray[Any]:
    """Mean absolute contribution of each column over rows and classes, shape (columns,)."""
    contributions = np.asarray(model.predict(rows, pred_contrib=True), float)
    by_class: Floats = np.abs(
        contributions.reshape(len(rows), model.num_model_per_iteration(), -1)[:, :, :-1]
    )
    return np.asarray(by_class.mean(axis=(0, 1)))


def _shares(values: NDArray[Any]) -> Floats:
    total = float(np.sum(values))
    return np.asarray(values / total if total else np.zeros(len(values)), float)


def partial_dependence(
    models: Sequence[Callable[[Matrix, Matrix], Probabilities]],
    rows: tuple[Matrix, Matrix],
    columns: Mapping[str, Parity],
    chosen: Sequence[str],
) -> pl.DataFrame:
    """Return the mean predicted outcome for values of a column, everything else as it is.

    The columns are ``column, value, outcome, probability, low, high, battles``:
    the mean, the least and the greatest over the models, a model a fold, called
    with battles as given and exchanged. The `rows` are battles as given and
    exchanged, the same for every model; `columns` are theirs, in order, of which
    the `chosen` ones are moved.
    """
    given, swapped = rows
    tables = []
    for name in chosen:
        index = list(columns).index(name)
        present = given[np.isfinite(given[:, index]), index]
        if not len(present):
            continue
        grid = np.unique(np.quantile(present, np.linspace(0.02, 0.98, GRID)).astype(np.float32))
        first, second = np.tile(given, (len(grid), 1)), np.tile(swapped, (len(grid), 1))
        first[:, index] = np.repeat(grid, len(given))
        second[:, index] = first[:, index] * (-1.0 if columns[name] is Parity.ODD else 1.0)
        predicted = [model(first, second).reshape(len(grid), len(given), 3) for model in models]
        curves = np.mean(predicted, axis=2)
        tables += [
            pl.DataFrame(
                {
                    "column": name,
                    "value": grid.astype(float),
                    "outcome": outcome,
                    "probability": by_model.mean(axis=0),
                    "low": by_model.min(axis=0),
                    "high": by_model.max(axis=0),
                    "battles": len(given),
                }
            )
            for outcome, by_model in zip(OUTCOMES, np.moveaxis(curves, 2, 0), strict=True)
            if by_model.any()
        ]
    return pl.concat(tables) if tables else pl.DataFrame()
