"""What the ensemble is worth: the figures of ``metrics.json``, and those printed at the end."""

from __future__ import annotations

from typing import Any

from featlab.randomness import derive_seed
from models.evaluation.ensemble import (
    evaluate_halves,
    evaluate_predictor,
    evaluate_search,
    evaluate_signal_alone,
    evaluate_without_signal,
    loss_on_other_folds,
    out_of_fold_prior,
)
from models.evaluation.metrics import evaluate
from models.stacking.blend import BlendOutOfFold
from models.stacking.search import SearchResult
from models.stacking.trees import BoostingParameters
from pipelines.features import training_file
from pipelines.run.console import progress
from pipelines.run.settings import TrainSettings
from pipelines.training_data import TrainingData, refold


def measure_ensemble(
    settings: TrainSettings, data: TrainingData, prediction: BlendOutOfFold, found: SearchResult
) -> dict[str, Any]:
    """Prior, each signal alone, the ensemble, its halves, what each signal adds, the search.

    Each signal costs two further blends, so this takes longer than the ensemble itself.
    """
    stacking, groups, seed = data.stacking, data.groups, settings.seed
    left_out = data.signals if len(data.signals) > 1 else {}
    alone: dict[str, Any] = {}
    without: dict[str, Any] = {}
    with progress("figures", len(data.signals) + len(left_out)) as advance:
        for name, columns in data.signals.items():
            advance(len(alone), f"{name} alone")
            alone[name] = evaluate_signal_alone(stacking, columns, groups, seed)
        for name, columns in left_out.items():
            advance(len(alone) + len(without), f"without {name}")
            without[name] = evaluate_without_signal(
                prediction.blend,
                stacking,
                columns,
                found.parameters,
                groups,
                seed,
                settings.repeats,
            )
    return {
        "prior": evaluate(
            out_of_fold_prior(stacking.labels, stacking.folds), stacking.labels, groups, seed
        ),
        "signals": alone,
        "ensemble": evaluate_predictor(prediction.blend, stacking, groups, seed),
        "halves": evaluate_halves(prediction, stacking, groups, seed),
        "without": without,
        "search": evaluate_search(found, score_other_foldings(settings, data, found.parameters)),
    }


def score_other_foldings(
    settings: TrainSettings, data: TrainingData, parameters: BoostingParameters
) -> dict[int, float]:
    """Losses of the tuned parameters on other foldings, for signals that no fold shaped."""
    if set(data.signals) != {"text"}:
        return {}
    source = training_file(settings.data)
    seeds = [derive_seed(settings.seed, "refold", index) for index in range(settings.fold_repeats)]
    return {
        seed: loss_on_other_folds(
            data.stacking, refold(settings, source, seed), parameters, settings.seed
        )
        for seed in seeds
    }


def print_summary(figures: dict[str, Any]) -> None:
    """The figures a person looks for first."""
    rows = [("prior", figures["prior"]["log_loss"])]
    rows += [
        (f"{name} alone", signal["after_calibration"]["log_loss"])
        for name, signal in figures["signals"].items()
    ]
    rows.append(("ensemble", figures["ensemble"]["after_calibration"]["log_loss"]))
    print(f"{'out of fold, calibrated':<28}log loss  95 % interval")
    for name, loss in rows:
        print(f"{name:<28}{loss['value']:.4f}    {loss['low']:.4f} to {loss['high']:.4f}")
    for name, without in figures["without"].items():
        gain = without["gain"]
        print(
            f"{name + ' adds':<28}{gain['value']:+.4f}   {gain['low']:+.4f} to {gain['high']:+.4f}"
        )
    optimism = figures["search"]["selection_optimism"]
    print(f"{'optimism of the search':<28}{optimism:+.4f}")
