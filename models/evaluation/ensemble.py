"""Everything ``metrics.json`` says of a trained ensemble, made from out-of-fold predictions.

No figure here is taken on rows that chose it: signals and stacker are out of
fold, the temperature is cross-fitted, and what the search gained by choosing
among trials on these very folds is stated beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlab.parity import Parity
from models.evaluation.metrics import (
    Labels,
    Probabilities,
    bootstrap_mean,
    evaluate,
    log_loss,
    paired_difference,
    prior,
    row_log_loss,
    swap_asymmetry,
)
from models.stacking.blend import BlendOutOfFold, fit_blend
from models.stacking.calibration import cross_fitted_temperature, fit_temperature
from models.stacking.search import SearchResult, plan_for, selection_optimism
from models.stacking.table import StackingData
from models.stacking.trees import BoostingParameters, OutOfFold


def out_of_fold_prior(labels: Labels, folds: NDArray[np.int64]) -> Probabilities:
    """For each fold, the outcome shares of the other folds: shape (n, 3)."""
    result = np.empty((len(labels), 3))
    for fold in np.unique(folds):
        result[folds == fold] = prior(labels[folds != fold])
    return result


def evaluate_predictor(
    prediction: OutOfFold, data: StackingData, groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Figures of one predictor before and after a cross-fitted temperature."""
    raw, labels = prediction.probabilities, data.labels
    calibrated = cross_fitted_temperature(raw, labels, data.folds)
    return {
        "before_calibration": evaluate(raw, labels, groups, seed),
        "after_calibration": evaluate(calibrated, labels, groups, seed),
        "temperature": fit_temperature(raw, labels),
        "gain_over_prior": asdict(
            paired_difference(
                out_of_fold_prior(labels, data.folds), calibrated, labels, groups, seed
            )
        ),
        "swap_asymmetry": {
            "one_order": swap_asymmetry(prediction.one_order, prediction.other_order),
            "mean_of_both_orders": swap_asymmetry(raw, raw[:, [1, 0, 2]]),
        },
    }


def evaluate_signal_alone(
    data: StackingData, columns: Mapping[str, Parity], groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Figures of a blend that sees one signal only, with default parameters, so untuned."""
    alone = data.select(list(columns))
    _, prediction = fit_blend(alone, plan_for(len(data.labels)).default, seed)
    return evaluate_predictor(prediction.blend, alone, groups, seed)


def evaluate_without_signal(
    full: OutOfFold,
    data: StackingData,
    gone: Collection[str],
    parameters: BoostingParameters,
    groups: NDArray[Any],
    seed: int,
    repeats: int,
) -> dict[str, Any]:
    """What a signal adds: the loss without it less the loss with it, calibrated, paired.

    The trees keep the parameters that were tuned with all signals.

    Parameters
    ----------
    full : OutOfFold
        Of the ensemble with all signals.
    gone : collection of str
        The signal's columns.
    """
    labels, folds = data.labels, data.folds
    complete = cross_fitted_temperature(full.probabilities, labels, folds)
    rest = data.select([name for name in data.frame.columns if name not in gone])
    _, prediction = fit_blend(rest, parameters, seed, repeats)
    without = cross_fitted_temperature(prediction.blend.probabilities, labels, folds)
    return {
        "log_loss": log_loss(without, labels),
        "gain": asdict(paired_difference(without, complete, labels, groups, seed)),
    }


def evaluate_halves(
    prediction: BlendOutOfFold, data: StackingData, groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Each half by itself, calibrated, and how much better the blend is than it, paired."""
    labels, folds = data.labels, data.folds
    blended = cross_fitted_temperature(prediction.blend.probabilities, labels, folds)
    found = {}
    for name, part in prediction.parts.items():
        alone = cross_fitted_temperature(part.probabilities, labels, folds)
        found[name] = {
            "log_loss": asdict(bootstrap_mean(row_log_loss(alone, labels), groups, seed)),
            "gain_of_the_blend": asdict(paired_difference(alone, blended, labels, groups, seed)),
        }
    return found


def evaluate_search(result: SearchResult, refolded: Mapping[int, float]) -> dict[str, Any]:
    """What was tried, and how far the best trial's figure can be trusted.

    Parameters
    ----------
    result : SearchResult
    refolded : mapping of int to float
        Seed of another folding -> calibrated out-of-fold loss of the tuned
        parameters on it.
    """
    optimism = selection_optimism(result)
    return {
        "trials": result.finished + result.pruned,
        "pruned": result.pruned,
        "best_trial": result.best,
        "parameters": asdict(result.parameters),
        "tuned_log_loss": optimism.tuned,
        "log_loss_of_the_trial_the_other_folds_choose": optimism.left_out,
        "selection_optimism": optimism.optimism,
        "log_loss_on_other_foldings": {str(seed): loss for seed, loss in refolded.items()},
    }


def loss_on_other_folds(
    data: StackingData, folds: NDArray[np.int64], parameters: BoostingParameters, seed: int
) -> float:
    """Calibrated out-of-fold loss of given parameters on folds that did not choose them."""
    other = replace(data, folds=folds)
    _, prediction = fit_blend(other, parameters, seed)
    calibrated = cross_fitted_temperature(prediction.blend.probabilities, data.labels, folds)
    return log_loss(calibrated, data.labels)
