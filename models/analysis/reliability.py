"""Stated against observed frequency, and the table of what was predicted for what happened."""

from __future__ import annotations

import numpy as np
import polars as pl

from featlab.battles import OUTCOMES
from featlab.randomness import derive_seed
from models.evaluation.intervals import wilson
from models.evaluation.metrics import Labels, Probabilities, expected_calibration_error

BINS = 10


def reliability(probabilities: Probabilities, labels: Labels, bins: int = BINS) -> pl.DataFrame:
    """Reliability diagram of each class: bins of equal counts.

    Parameters
    ----------
    probabilities : float64 array, shape (n, 3)
    labels : array of int, shape (n,)
    bins : int

    Returns
    -------
    DataFrame
        ``outcome, bin, stated, observed, low, high, battles``: the mean stated
        probability, and the observed share with Wilson's interval.

    Examples
    --------
    >>> table = reliability(np.full((30, 3), 1 / 3), np.arange(30) % 3, bins=1)
    >>> table["observed"].round(3).to_list()
    [0.333, 0.333, 0.333]
    """
    rows = []
    for index, outcome in enumerate(OUTCOMES):
        stated = probabilities[:, index]
        happened = labels == index
        order = np.argsort(stated, kind="stable")
        for number, part in enumerate(np.array_split(order, min(bins, len(order)))):
            share, low, high = wilson(happened[part].sum(), len(part))
            rows.append(
                (
                    outcome,
                    number,
                    float(stated[part].mean()),
                    float(share),
                    float(low),
                    float(high),
                    len(part),
                )
            )
    names = ["outcome", "bin", "stated", "observed", "low", "high", "battles"]
    return pl.DataFrame(rows, names, orient="row")


def confusion(probabilities: Probabilities, labels: Labels) -> pl.DataFrame:
    """How often each outcome was called what, with Wilson's interval of the share.

    Returns
    -------
    DataFrame
        ``outcome, predicted, battles, of, share, low, high``: ``predicted`` is
        the likeliest outcome, ``of`` the battles of the true one.

    Examples
    --------
    >>> confusion(np.eye(3), np.arange(3)).filter(pl.col("battles") > 0)["predicted"].to_list()
    ['a', 'b', 'tie']
    """
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    rows = [
        (outcome, called, int(counts[i, j]), int(counts[i].sum()))
        for i, outcome in enumerate(OUTCOMES)
        for j, called in enumerate(OUTCOMES)
    ]
    frame = pl.DataFrame(rows, ["outcome", "predicted", "battles", "of"], orient="row")
    share, low, high = wilson(frame["battles"].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series("share", share), pl.Series("low", low), pl.Series("high", high)
    )


def calibration_noise(
    probabilities: Probabilities, seed: int, draws: int = 100
) -> tuple[float, float]:
    """The range of calibration errors that a perfectly calibrated model would show.

    Outcomes are drawn from the probabilities themselves, so that all error is
    noise of the sample; an error inside the range is no evidence of
    miscalibration.

    Returns
    -------
    The 2.5th and 97.5th percentile over the draws.

    Examples
    --------
    >>> low, high = calibration_noise(np.full((200, 3), 1 / 3), seed=0)
    >>> 0 < low < high
    True
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
