"""Everything ``metrics.json`` says of a trained ensemble, made from out-of-fold predictions.

No figure here is taken on rows that chose it: signals and stacker are out of
fold, the temperature is cross-fitted, and what the search gained by choosing
among trials on these very folds is stated beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlab.parity import Parity
from models.calibration import cross_fitted_temperature, fit_temperature
from models.metrics import (
    Labels,
    Probabilities,
    evaluate,
    log_loss,
    paired_difference,
    prior,
    swap_asymmetry,
)
from models.search import SearchResult, selection_optimism
from models.stacker import BoostingParameters, OutOfFold, StackingData, fit_stacker


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
    """Figures of a stacker that sees one signal only, with default parameters, so untuned."""
    alone = replace(data, frame=data.frame.select(*columns), parity=dict(columns))
    _, prediction = fit_stacker(alone, BoostingParameters(), seed)
    return evaluate_predictor(prediction, alone, groups, seed)


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
    _, prediction = fit_stacker(other, parameters, seed)
    calibrated = cross_fitted_temperature(prediction.probabilities, data.labels, folds)
    return log_loss(calibrated, data.labels)
