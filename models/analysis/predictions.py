"""Stated against observed: reliability, and the loss by kind of battle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.randomness import derive_seed
from models.evaluation.intervals import Floats, Groups, mean, with_shares
from models.evaluation.metrics import expected_calibration_error, outcomes_of
from models.probabilities import Labels, Probabilities

FEWEST = 15
"""Battles that a slice must have to be shown."""

_SLICES = {
    "dimension": pl.String,
    "slice": pl.String,
    "battles": pl.Int64,
    **dict.fromkeys(
        ("log_loss", "low", "high", "reference", "gain", "gain_low", "gain_high"), pl.Float64
    ),
}


def reliability(probabilities: Probabilities, labels: Labels, bins: int = 10) -> pl.DataFrame:
    """Return ``outcome, bin, stated, observed, low, high, battles``, bins of equal counts.

    ``stated`` is the mean probability, ``observed`` the share with Wilson's
    interval.
    """
    rows = []
    for index, outcome in enumerate(outcomes_of(probabilities)):
        stated, happened = probabilities[:, index], labels == index
        order = np.argsort(stated, kind="stable")
        for number, part in enumerate(np.array_split(order, min(bins, len(order)))):
            rows.append(
                (outcome, number, float(stated[part].mean()), int(happened[part].sum()), len(part))
            )
    names = ["outcome", "bin", "stated", "happened", "of"]
    frame = with_shares(pl.DataFrame(rows, names, orient="row"), "happened")
    return frame.select(
        "outcome", "bin", "stated", pl.col("share").alias("observed"), "low", "high",
        pl.col("of").alias("battles"),
    )  # fmt: skip


def calibration_noise(
    probabilities: Probabilities, seed: int, draws: int = 100
) -> tuple[float, float]:
    """Return the range of calibration errors that a perfectly calibrated model would show.

    Outcomes are drawn from the probabilities themselves, so that all error is
    noise of the sample; an error between the 2.5th and the 97.5th percentile,
    which are returned, is no evidence of miscalibration.
    """
    generator = np.random.default_rng(derive_seed(seed, "calibration noise"))
    below_a = probabilities[:, 0]
    below_b = below_a + probabilities[:, 1]
    errors = []
    for _ in range(draws):
        drawn = generator.random(len(probabilities))
        labels = (drawn > below_a).astype(np.int64) + (drawn > below_b)
        errors.append(expected_calibration_error(probabilities, labels))
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(low), float(high)


def slice_members(
    slices: Mapping[str, pl.Series], fewest: int = FEWEST
) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Yield the dimension, the name and the rows of every slice of so many battles or more.

    Parameters
    ----------
    slices : mapping of str to Series
        Dimension -> the slice of every battle: Enum, whose order is kept;
        String, by size; List(String) where a battle stands in several. Null
        where it is in none.
    """
    for dimension, names in slices.items():
        battles = pl.DataFrame({"slice": names}).with_row_index("row")
        if isinstance(names.dtype, pl.List):
            battles = battles.explode("slice")
        found = battles.drop_nulls("slice").group_by("slice").agg("row")
        size = pl.col("row").list.len().cast(pl.Int64)
        order = 0 * size if isinstance(names.dtype, pl.Enum) else -size
        for name, members in found.sort(order, "slice").iter_rows():
            if len(members) >= fewest:
                yield dimension, str(name), np.array(members, np.int64)


def loss_by_slice(
    slices: Mapping[str, pl.Series], losses: Floats, reference: Floats, groups: Groups
) -> pl.DataFrame:
    """Return the mean losses, in nats, in each of `slice_members`.

    The columns are ``dimension, slice, battles, log_loss, low, high, reference,
    gain, gain_low, gain_high``: the model's losses, those of what it is compared
    with, and the paired difference, above 0 where the model is better.
    """
    rows = []
    for dimension, name, index in slice_members(slices):
        group, compared = groups[index], reference[index]
        loss, gain = mean(losses[index], group), mean(compared - losses[index], group)
        stated = loss.value, loss.low, loss.high, float(compared.mean())
        rows.append((dimension, name, len(index), *stated, gain.value, gain.low, gain.high))
    return pl.DataFrame(rows, _SLICES, orient="row")


def quantile_slices(values: Floats, parts: int, name: str) -> pl.Series:
    """Return slices of about equal counts by a value, named by its bounds: Enum."""
    edges = np.quantile(values, np.linspace(0, 1, parts + 1))
    place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, parts - 1)
    names = {
        int(number): f"{_short(inside.min())} to {_short(inside.max())} {name}"
        for number in np.unique(place)
        for inside in [values[place == number]]
    }
    chosen = [names[int(number)] for number in place]
    return pl.Series(chosen, dtype=pl.Enum(list(dict.fromkeys(names.values()))))


def _short(value: float) -> str:
    whole = abs(value) >= 100 or value == int(value)
    return f"{value:,.0f}" if whole else f"{value:.3g}"
