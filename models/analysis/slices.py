"""Log loss by kind of battle: turns, length, language, prompt, models, closeness of the call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.evaluation.intervals import Floats, ratio

FEWEST = 15
"""Battles that a slice must have to be shown."""


def loss_by_slice(
    slices: Mapping[str, pl.Series],
    losses: Floats,
    reference: Floats,
    groups: NDArray[Any],
) -> pl.DataFrame:
    """Mean loss of each slice, of the model and of a reference, with intervals over prompts.

    Parameters
    ----------
    slices : mapping of str to Series
        Dimension -> the slice of every battle: Enum, whose order is kept;
        String; List(String) where a battle stands in several. Null where it
        is in none.
    losses, reference : float64 arrays, shape (n,)
        Row losses in nats.
    groups : array, shape (n,)
        Equal for battles of one prompt.

    Returns
    -------
    DataFrame
        ``dimension, slice, battles, log_loss, low, high, reference``; slices
        of fewer than `FEWEST` battles are left out, unordered ones come by size.

    Examples
    --------
    >>> slices = {"turns": pl.Series(["one"] * 22 + ["more"] * 18)}
    >>> table = loss_by_slice(slices, np.ones(40), np.ones(40), np.arange(40))
    >>> table["slice"].to_list()
    ['one', 'more']
    """
    rows = []
    for dimension, names in slices.items():
        members = pl.DataFrame({"slice": names}).with_row_index("row")
        if isinstance(names.dtype, pl.List):
            members = members.explode("slice")
        rows_of = members.drop_nulls("slice").group_by("slice").agg("row")
        if isinstance(names.dtype, pl.Enum):
            ordered = rows_of.sort("slice")
        else:
            ordered = rows_of.sort(-pl.col("row").list.len().cast(pl.Int64), "slice")
        for name, members_of in ordered.iter_rows():
            index = np.array(members_of)
            if len(index) < FEWEST:
                continue
            found = ratio(losses[index], np.ones(len(index)), groups[index])
            rows.append(
                (
                    dimension,
                    str(name),
                    len(index),
                    found.value,
                    found.low,
                    found.high,
                    float(reference[index].mean()),
                )
            )
    return pl.DataFrame(rows, _SCHEMA, orient="row")


_SCHEMA = {
    "dimension": pl.String,
    "slice": pl.String,
    "battles": pl.Int64,
    "log_loss": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "reference": pl.Float64,
}


def quantile_slices(values: Floats, parts: int, name: str) -> pl.Series:
    """Slices of equal counts by a value, named by its bounds: Enum.

    Examples
    --------
    >>> quantile_slices(np.arange(1.0, 5), 2, "characters").cast(pl.String).unique(
    ...     maintain_order=True
    ... ).to_list()
    ['characters 1 to 2', 'characters 3 to 4']
    """
    edges = np.quantile(values, np.linspace(0, 1, parts + 1))
    place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, parts - 1)
    labels = np.full(len(values), "", dtype=object)
    names: list[str] = []
    for number in np.unique(place):
        inside = place == number
        low, high = values[inside].min(), values[inside].max()
        names.append(f"{name} {_short(low)} to {_short(high)}")
        labels[inside] = names[-1]
    return pl.Series(labels.tolist(), dtype=pl.Enum(list(dict.fromkeys(names))))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"
