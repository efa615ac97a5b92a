"""What the vote and the model's predictions lean on that is not quality.

Every bias is one question, "of the decisive outcomes, what share goes to the
response that ...", put to the votes, to the model's raw predictions of one
order, and to their mean over both orders. Without the bias, and without any
link to quality, the share is one half.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from models.analysis.differences import LENGTH, side_values
from models.analysis.strengths import VOTERS
from models.evaluation.intervals import Floats, Groups, Z, binomial_z, ratio, wilson
from models.probabilities import Labels, Probabilities

ONE_ORDER, BOTH_ORDERS = "model, one order", "model, both orders"

MARKDOWN = ("headers", "bold_spans", "list_items", "fences", "table_rows")
"""Features whose sum is the amount of markdown."""

REFUSAL = "opens_with_refusal"

SIMILAR_LENGTH = 0.2
"""Log ratio of lengths up to which two responses count as equally long."""

_SCHEMA = {
    **dict.fromkeys(("bias", "favoured", "who"), pl.String),
    "battles": pl.Int64,
    **dict.fromkeys(("of", "share", "low", "high", "z"), pl.Float64),
}

Row = tuple[str, str, str, int, float, float, float, float, float]


def audit(
    text: pl.DataFrame, labels: Labels, groups: Groups, one: Probabilities, other: Probabilities
) -> pl.DataFrame:
    """Audit position, verbosity, formatting and refusal, each by votes and by predictions.

    `text` has `LENGTH`, `MARKDOWN` and `REFUSAL` of both responses; `one` and `other`
    are predictions of the battles as given, and of the exchanged ones in their own
    order of sides.

    The columns are ``bias, favoured, who, battles, of, share, low, high, z``: ``of``
    counts decisive votes or sums decisive probability, ``z`` is how many standard
    errors the share lies from one half. Intervals are Wilson's for votes and
    linearised over prompts for predictions.
    """
    both = (one + other[:, [1, 0, 2]]) / 2
    of_both = both[:, :2].sum(axis=1)
    wins = np.bincount(labels, minlength=3)
    first = "position", "the response shown first"
    decisive = one[:, :2].sum(axis=1) + other[:, :2].sum(axis=1)
    rows = [
        _votes(*first, len(labels), float(wins[0]), float(wins[0] + wins[1])),
        _predicted(*first, ONE_ORDER, (one[:, 0] + other[:, 0]) / 2, decisive / 2, groups),
        # Over both orders of a battle, whatever is shown first has the mean of its two sides.
        _predicted(*first, BOTH_ORDERS, of_both / 2, of_both, groups),
    ]
    for bias, favoured, sign in _preferences(text):
        named = bias, favoured
        asked = sign != 0
        if not asked.any():
            continue
        favours_a = sign[asked] > 0
        chosen = labels[asked]
        won = float(((chosen < 2) & ((chosen == 0) == favours_a)).sum())
        rows.append(_votes(*named, len(chosen), won, float((chosen < 2).sum())))
        for who, stated in ((ONE_ORDER, one), (BOTH_ORDERS, both)):
            a, b = stated[asked, 0], stated[asked, 1]
            rows.append(_predicted(*named, who, np.where(favours_a, a, b), a + b, groups[asked]))
    return pl.DataFrame(rows, _SCHEMA, orient="row")


def _preferences(text: pl.DataFrame) -> Iterator[tuple[str, str, Floats]]:
    """Name, the favoured response, and +1 where it is a, -1 where it is b, 0 where neither."""
    a, b = side_values(text, LENGTH)
    yield "verbosity", "the longer response", np.sign(a - b)
    marked_a, marked_b = np.sum([side_values(text, name) for name in MARKDOWN], axis=0)
    marked = np.sign(marked_a - marked_b)
    yield "formatting", "the response with more markdown", marked
    similar = np.abs(np.log1p(a) - np.log1p(b)) <= SIMILAR_LENGTH
    yield "formatting, equal length", "more markdown, lengths within 20 %", marked * similar
    refuses_a, refuses_b = side_values(text, REFUSAL)
    refuses = np.sign(refuses_a - refuses_b)
    yield "refusal", "the response that refuses alone", refuses
    yield "refusal, shown first", "refuses alone and is shown first", np.maximum(refuses, 0)
    yield "refusal, shown second", "refuses alone and is shown second", np.minimum(refuses, 0)


def _votes(bias: str, favoured: str, battles: int, wins: float, of: float) -> Row:
    share, low, high = (float(value) for value in wilson(wins, of))
    return bias, favoured, VOTERS, battles, of, share, low, high, binomial_z(wins, of)


def _predicted(
    bias: str, favoured: str, who: str, won: Floats, decisive: Floats, groups: Groups
) -> Row:
    found = ratio(won, decisive, groups)
    error = (found.high - found.low) / (2 * Z)
    z = (found.value - 0.5) / error if error > 1e-12 else float("nan")
    total = float(decisive.sum())
    return bias, favoured, who, len(won), total, found.value, found.low, found.high, z
