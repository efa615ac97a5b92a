"""How the predicted outcome moves with one column, everything else as it is.

Friedman, "Greedy function approximation", Annals of Statistics 29(5), 2001,
section 8.2. The exchanged battle is given the exchanged value, so the curves
have the symmetry of the predictions. Columns made of one feature are moved one
at a time: read the curves as what the model does, not as what voters would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lightgbm as lgb
import numpy as np
import polars as pl

from featlab.battles import OUTCOMES
from featlab.parity import Parity
from models.evaluation.intervals import Floats
from models.stacking.table import Matrix
from models.stacking.trees import mean_over_orders, predict_both_orders

GRID = 13
"""Values a column is set to: quantiles from the 2nd to the 98th percentile."""


def partial_dependence(
    models: Sequence[lgb.Booster],
    rows: tuple[Matrix, Matrix],
    columns: Sequence[str],
    parity: Mapping[str, Parity],
    chosen: Sequence[str],
) -> pl.DataFrame:
    """The mean predicted outcome for values of a column, with its spread over the fold models.

    Parameters
    ----------
    models : sequence of Booster
        One a fold.
    rows : pair of float32 arrays, shape (n, columns) each
        Battles as given and exchanged, the same for every model.
    columns : sequence of str
    parity : mapping of str to Parity
    chosen : sequence of str
        Columns to move.

    Returns
    -------
    DataFrame
        ``column, value, outcome, probability, low, high, battles``.
    """
    given, swapped = rows
    tables = []
    for name in chosen:
        index = list(columns).index(name)
        present = given[np.isfinite(given[:, index]), index]
        if not len(present):
            continue
        grid = np.unique(np.quantile(present, np.linspace(0.02, 0.98, GRID)).astype(np.float32))
        sign = np.float32(-1.0 if parity[name] is Parity.ODD else 1.0)
        curves = np.array([_curve(model, given, swapped, index, grid, sign) for model in models])
        for number, outcome in enumerate(OUTCOMES):
            by_model = curves[:, :, number]
            tables.append(
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
            )
    return pl.concat(tables) if tables else pl.DataFrame()


def _curve(
    model: lgb.Booster,
    given: Matrix,
    swapped: Matrix,
    index: int,
    grid: Matrix,
    sign: np.float32,
) -> Floats:
    """Mean probabilities for each value of the grid, shape (grid, 3)."""
    count = len(given)
    first, second = np.tile(given, (len(grid), 1)), np.tile(swapped, (len(grid), 1))
    first[:, index] = np.repeat(grid, count)
    second[:, index] = np.repeat(sign * grid, count)
    predicted = mean_over_orders(*predict_both_orders(model, first, second))
    means: Floats = predicted.reshape(len(grid), count, 3).mean(axis=1)
    return means
