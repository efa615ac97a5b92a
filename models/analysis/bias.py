"""What the vote and the model's predictions lean on that is not quality.

Every bias is one question, "of the decisive outcomes, what share goes to the
response that ...", put to the votes, to the model's raw predictions of one
order, and to their mean over both orders. Without the bias, and without any
link to quality, the share is one half.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.analysis.effects import LENGTH, side_values
from models.evaluation.intervals import Floats, Z, binomial_z, ratio, wilson
from models.evaluation.metrics import Labels, Probabilities

VOTERS, ONE_ORDER, BOTH_ORDERS = "voters", "model, one order", "model, both orders"

MARKDOWN = ("headers", "bold_spans", "list_items", "fences", "table_rows")
"""Features whose sum is the amount of markdown."""

REFUSAL = "opens_with_refusal"

BIAS_FEATURES = (LENGTH, *MARKDOWN, REFUSAL)
"""Features of both responses that `audit` reads."""

SIMILAR_LENGTH = 0.2
"""Log ratio of lengths up to which two responses count as equally long."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The votes, and the model's out-of-fold predictions of each order and of both.

    Parameters
    ----------
    labels : array of int, shape (n,)
    groups : array, shape (n,)
        Equal for battles of one prompt.
    one_order : float64 array, shape (n, 3)
        For the battles as given.
    other_order : float64 array, shape (n, 3)
        For the battles with sides exchanged, in their own order.
    both_orders : float64 array, shape (n, 3)
        What the model predicts in the end, the same for both orders.
    """

    labels: Labels
    groups: NDArray[Any]
    one_order: Probabilities
    other_order: Probabilities
    both_orders: Probabilities


def audit(text: pl.DataFrame, verdicts: Verdicts) -> pl.DataFrame:
    """Position, verbosity, formatting and refusal, each by votes and by predictions.

    Parameters
    ----------
    text : DataFrame
        The text signal with `BIAS_FEATURES` of both responses, shape (n, ...).
    verdicts : Verdicts

    Returns
    -------
    DataFrame
        ``bias, favoured, who, battles, of, share, low, high, z``: ``of`` is
        the number of decisive votes, or the sum of decisive probability, and
        ``z`` how many standard errors the share lies from one half. Intervals
        are Wilson's for votes and linearised over prompts for predictions.
    """
    rows = list(_position(verdicts))
    for bias, favoured, sign in _preferences(text):
        rows += _shares(bias, favoured, sign, verdicts)
    return pl.DataFrame(rows, _SCHEMA, orient="row")


_SCHEMA = {
    "bias": pl.String,
    "favoured": pl.String,
    "who": pl.String,
    "battles": pl.Int64,
    "of": pl.Float64,
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "z": pl.Float64,
}

Row = tuple[str, str, str, int, float, float, float, float, float]


def _preferences(text: pl.DataFrame) -> Iterator[tuple[str, str, Floats]]:
    """Name, the favoured response, and +1 where it is a, -1 where it is b, 0 where neither."""
    a, b = side_values(text, LENGTH)
    longer = np.sign(a - b)
    yield "verbosity", "the longer response", longer
    marked_a, marked_b = (
        np.sum([side_values(text, name)[side] for name in MARKDOWN], axis=0) for side in (0, 1)
    )
    marked = np.sign(marked_a - marked_b)
    yield "formatting", "the response with more markdown", marked
    similar = np.abs(np.log1p(a) - np.log1p(b)) <= SIMILAR_LENGTH
    yield "formatting, equal length", "more markdown, lengths within 20 %", marked * similar
    refuses_a, refuses_b = side_values(text, REFUSAL)
    refuses = np.sign(refuses_a - refuses_b)
    yield "refusal", "the response that refuses alone", refuses
    yield "refusal, shown first", "refuses alone and is shown first", np.maximum(refuses, 0)
    yield "refusal, shown second", "refuses alone and is shown second", np.minimum(refuses, 0)


def _shares(bias: str, favoured: str, sign: Floats, verdicts: Verdicts) -> Iterator[Row]:
    eligible = sign != 0
    count = int(eligible.sum())
    if not count:
        return
    labels = verdicts.labels[eligible]
    decisive = labels < 2
    first = sign[eligible] > 0
    wins = float((decisive & ((labels == 0) == first)).sum())
    yield _votes(bias, favoured, count, wins, float(decisive.sum()))
    groups = verdicts.groups[eligible]
    for who, predicted in (
        (ONE_ORDER, verdicts.one_order[eligible]),
        (BOTH_ORDERS, verdicts.both_orders[eligible]),
    ):
        won = np.where(first, predicted[:, 0], predicted[:, 1])
        yield _predicted(bias, favoured, who, won, predicted[:, 0] + predicted[:, 1], groups)


def _position(verdicts: Verdicts) -> Iterator[Row]:
    """The side shown first: in predictions over both orders of the same responses."""
    bias, favoured = "position", "the response shown first"
    labels, groups = verdicts.labels, verdicts.groups
    wins = np.bincount(labels, minlength=3)
    yield _votes(bias, favoured, len(labels), float(wins[0]), float(wins[0] + wins[1]))
    one, other = verdicts.one_order, verdicts.other_order
    shown_first, decisive = (
        one[:, 0] + other[:, 0],
        one[:, :2].sum(axis=1) + other[:, :2].sum(axis=1),
    )
    yield _predicted(bias, favoured, ONE_ORDER, shown_first / 2, decisive / 2, groups)
    # Over both orders of a battle, whatever is shown first has the mean of its two sides.
    decisive = verdicts.both_orders[:, :2].sum(axis=1)
    yield _predicted(bias, favoured, BOTH_ORDERS, decisive / 2, decisive, groups)


def _votes(bias: str, favoured: str, battles: int, wins: float, of: float) -> Row:
    share, low, high = (float(value) for value in wilson(wins, of))
    return bias, favoured, VOTERS, battles, of, share, low, high, binomial_z(wins, of)


def _predicted(
    bias: str, favoured: str, who: str, won: Floats, decisive: Floats, groups: NDArray[Any]
) -> Row:
    found = ratio(won, decisive, groups)
    error = (found.high - found.low) / (2 * Z)
    z = (found.value - 0.5) / error if error > 1e-12 else float("nan")
    total = float(decisive.sum())
    return bias, favoured, who, len(won), total, found.value, found.low, found.high, z
