"""The learning curve of a run: loss by the number of training battles, with a power law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl


def learning_curve(content: Mapping[str, Any]) -> pl.DataFrame:
    """The points of ``learning_curve.json`` as a frame.

    Parameters
    ----------
    content : mapping
        ``points``: a list of ``share, n, log_loss, low, high``.

    Returns
    -------
    DataFrame
        ``share, n, log_loss, low, high``, fewest battles first.

    Examples
    --------
    >>> point = {"share": 1.0, "n": 100, "log_loss": 1.0, "low": 0.9, "high": 1.1}
    >>> learning_curve({"points": [point]})["n"].to_list()
    [100]
    """
    names = ("share", "n", "log_loss", "low", "high")
    points = [{name: point[name] for name in names} for point in content["points"]]
    return pl.DataFrame(points).cast({"share": pl.Float64, "n": pl.Int64}).sort("n")
