"""How good probabilities are, with intervals that respect repeated prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from featlab.battles import OUTCOMES, TIE
from featlab.randomness import derive_seed
from models.probabilities import Labels, Probabilities, row_log_loss

RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrap_mean(
    values: NDArray[np.float64], groups: NDArray[Any], seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean of `values` with a 95 % interval over resampled groups.

    Whole groups (battles of one prompt) are drawn with replacement, since rows
    of a group are not independent: the cluster bootstrap of Davison and
    Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.

    Examples
    --------
    >>> estimate = bootstrap_mean(np.arange(100.0), np.arange(100), seed=0)
    >>> estimate.low < estimate.value < estimate.high
    True
    """
    low, high = np.quantile(resampled_means(values[None], groups, seed, resamples), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def resampled_means(
    rows: NDArray[np.float64], groups: NDArray[Any], seed: int, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Return the means of all rows, (k, n), on the same resampled groups: (resamples, k)."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(group, weights=values) for values in rows])
    sizes = np.bincount(group).astype(float)
    generator = np.random.default_rng(derive_seed(seed, "bootstrap"))
    means = np.empty((resamples, len(rows)))
    for index in range(resamples):
        drawn = np.bincount(generator.integers(0, len(sizes), len(sizes)), minlength=len(sizes))
        means[index] = sums @ drawn / (sizes @ drawn)
    return means


def paired_difference(
    first: Probabilities,
    second: Probabilities,
    labels: Labels,
    groups: NDArray[Any],
    seed: int,
) -> Interval:
    """Return the loss of `first` less that of `second`, paired; below 0, `first` is better."""
    difference = row_log_loss(first, labels) - row_log_loss(second, labels)
    return bootstrap_mean(difference, groups, seed)


def expected_calibration_error(
    probabilities: Probabilities, labels: Labels, bins: int = 15
) -> float:
    """Return the mean over the classes of the gap between stated and observed frequency.

    Class-wise ECE with bins of equal counts: Kull et al., "Beyond temperature
    scaling", NeurIPS 2019, section 2; equal counts as in Nixon et al., 2019.

    Examples
    --------
    >>> labels = np.arange(9) % 3
    >>> round(expected_calibration_error(np.full((9, 3), 1 / 3), labels, bins=1), 12)
    0.0
    """
    gaps: list[float] = []
    classes = outcomes_of(probabilities)
    for outcome in range(len(classes)):
        stated = probabilities[:, outcome]
        observed = (labels == outcome).astype(float)
        order = np.argsort(stated, kind="stable")
        parts = np.array_split(order, min(bins, len(order)))
        gaps += [len(part) * abs(stated[part].mean() - observed[part].mean()) for part in parts]
    return float(np.sum(gaps) / (len(classes) * len(labels)))


def outcomes_of(probabilities: Probabilities) -> tuple[str, ...]:
    """Return the outcomes that have a chance at all: without ties, two.

    Examples
    --------
    >>> outcomes_of(np.array([[0.4, 0.6, 0.0]]))
    ('a', 'b')
    """
    return OUTCOMES if probabilities[:, TIE].any() else OUTCOMES[:TIE]


def area_under_curve(probabilities: Probabilities, labels: Labels) -> float | None:
    """Return how often a battle that a won is given more than one that b won; ties count half.

    Examples
    --------
    >>> area_under_curve(np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]]), np.array([0, 1]))
    1.0
    """
    won, lost = labels == 0, labels == 1
    if not won.any() or not lost.any():
        return None
    ranks = rankdata(probabilities[won | lost, 0])
    wins, losses = int(won.sum()), int(lost.sum())
    above = ranks[won[won | lost]].sum() - wins * (wins + 1) / 2
    return float(above / (wins * losses))


def swap_asymmetry(probabilities: Probabilities, swapped: Probabilities) -> float:
    """Return the mean absolute change of P(a wins) when the battle is shown the other way round.

    `swapped` holds the predictions for the exchanged battles, in their own
    order of sides; 0 for a predictor that has no side.
    """
    return float(np.abs(probabilities[:, 0] - swapped[:, 1]).mean())


def evaluate(
    probabilities: Probabilities, labels: Labels, groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Return every metric of one set of predictions, ready for ``metrics.json``.

    Returns
    -------
    dict with ``log_loss`` (value, low, high), ``accuracy``, ``per_class_log_loss``,
    ``expected_calibration_error`` and ``battles``; of two outcomes also ``auc``,
    the area under the curve of a against b.
    """
    classes = outcomes_of(probabilities)
    losses = row_log_loss(probabilities, labels)
    accuracy = (probabilities.argmax(axis=1) == labels).astype(float)
    return {
        "log_loss": asdict(bootstrap_mean(losses, groups, seed)),
        "accuracy": asdict(bootstrap_mean(accuracy, groups, seed)),
        "per_class_log_loss": {
            name: float(losses[labels == index].mean()) if (labels == index).any() else None
            for index, name in enumerate(classes)
        },
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "battles": len(labels),
        **({"auc": area_under_curve(probabilities, labels)} if len(classes) == TIE else {}),
    }
