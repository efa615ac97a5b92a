"""The learning curve of a run: loss by the number of training battles, and its power law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

MEASURED, POWER_LAW = "measured", "power law"

_NUMBERS = {"n": pl.Float64, "log_loss": pl.Float64, "low": pl.Float64, "high": pl.Float64}


def learning_curve(content: Mapping[str, Any]) -> pl.DataFrame:
    """What ``learning_curve.json`` holds as one frame.

    Parameters
    ----------
    content : mapping
        ``points`` and ``power_law`` with its ``band``, as
        `models.evaluation.learning_curve.describe_curve` gives them.

    Returns
    -------
    DataFrame
        ``kind, n, log_loss, low, high``: `MEASURED`, then `POWER_LAW`, each by
        rising size.

    Examples
    --------
    >>> point = {"n": 100, "log_loss": 1.0, "low": 0.9, "high": 1.1}
    >>> learning_curve({"points": [point], "power_law": {"band": [point]}})["kind"].to_list()
    ['measured', 'power law']
    """
    parts = {MEASURED: content["points"], POWER_LAW: content["power_law"]["band"]}
    return pl.concat(
        pl.DataFrame(
            [{name: float(point[name]) for name in _NUMBERS} for point in points], _NUMBERS
        )
        .sort("n")
        .select(pl.lit(kind).alias("kind"), *_NUMBERS)
        for kind, points in parts.items()
    )
