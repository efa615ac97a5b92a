"""Everything ``metrics.json`` says of a trained ensemble, made from out-of-fold predictions.

No metric here is taken on rows that chose it: signals and members are out of
fold, the temperature is cross-fitted, and what the search gained by choosing
among trials on these very folds is stated beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np

from featlab.battles.folds import deal_folds
from featlab.columns import Column
from featlab.randomness import derive_seed
from models.evaluation.metrics import bootstrap_mean, evaluate, paired_difference, swap_asymmetry
from models.probabilities import Rows, log_loss, out_of_fold_prior, row_log_loss
from models.stacking.blend import BlendOutOfFold, fit_blend
from models.stacking.calibration import cross_fitted_temperature, fit_temperature
from models.stacking.search import SearchResult, plan_for, selection_optimism
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters

Signals = Mapping[str, Sequence[Column]]

ENOUGH_BATTLES = 20_000
"""On so many, at least, the signals are measured, if there are so many."""


def measure_ensemble(
    table: Table,
    signals: Signals,
    prediction: BlendOutOfFold,
    found: SearchResult,
    seed: int,
    *,
    other_foldings: int,
    on_step: Callable[[int, str], None] | None = None,
    deadline: float = inf,
) -> dict[str, Any]:
    """Return the prior, each signal alone, the ensemble, its members, what each signal adds.

    Each signal costs two further blends. With many battles these are fitted for
    some of the folds only, as many as hold `ENOUGH_BATTLES`: intervals on fewer
    battles are wider, and as honest.

    Parameters
    ----------
    table : Table
    signals : mapping of str to sequence of Column
        Signal -> its columns of the table.
    prediction : BlendOutOfFold
        Of the ensemble with all signals.
    found : SearchResult
        The parameters of its trees, and how they were found.
    seed : int
        Root seed.
    other_foldings : int
        Foldings on which the tuned parameters are scored again, where no fold
        shaped the columns.
    on_step : callable, optional
        Called with the number of completed fits and what is fitted next.
    deadline : float
        A time of `time.monotonic` after which no other blend is fitted.
    """
    groups, measured = table.groups, measured_folds(table)
    rows = np.flatnonzero(np.isin(table.folds, measured))
    full = prediction.take(rows)
    fits: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {
        ("alone", name): partial(_measure_alone, table, columns, measured, rows, seed)
        for name, columns in signals.items()
    }
    if len(signals) > 1:
        fits |= {
            ("without", name): partial(
                _measure_without, table, columns, full, found.parameters, measured, rows, seed
            )
            for name, columns in signals.items()
        }
    found_out: dict[str, dict[str, Any]] = {"alone": {}, "without": {}}
    for done, ((what, name), fit) in enumerate(fits.items()):
        if time.monotonic() > deadline:
            break
        if on_step is not None:
            on_step(done, f"{name} alone" if what == "alone" else f"without {name}")
        found_out[what][name] = fit()
    foldings = other_foldings if set(signals) == {"text"} else 0
    return {
        "prior": evaluate(out_of_fold_prior(table.labels, table.folds), table.labels, groups, seed),
        "signals": found_out["alone"],
        "ensemble": measure_blend(prediction, table, seed),
        "members": _measure_members(prediction, table, seed),
        "without": found_out["without"],
        "signals_measured_on": len(rows),
        "search": _measure_search(
            found,
            {
                other: _loss_on_other_folds(table, other, found.parameters, seed)
                for other in (derive_seed(seed, "refold", index) for index in range(foldings))
            },
        ),
    }


def measure_blend(prediction: BlendOutOfFold, table: Table, seed: int) -> dict[str, Any]:
    """Return the metrics of one blend before and after a cross-fitted temperature."""
    raw, labels, groups = prediction.probabilities, table.labels, table.groups
    calibrated = cross_fitted_temperature(raw, labels, table.folds)
    guess = out_of_fold_prior(labels, table.folds)
    return {
        "before_calibration": evaluate(raw, labels, groups, seed),
        "after_calibration": evaluate(calibrated, labels, groups, seed),
        "temperature": fit_temperature(raw, labels),
        "gain_over_prior": asdict(paired_difference(guess, calibrated, labels, groups, seed)),
        # Of the trees in one order alone: the mean of both orders has none by construction.
        "swap_asymmetry_one_order": swap_asymmetry(prediction.one_order, prediction.other_order),
    }


def measured_folds(table: Table) -> list[int]:
    """Return the folds that signals are measured on: the first that hold battles enough."""
    counts = np.cumsum([(table.folds == fold).sum() for fold in table.fold_numbers])
    enough = int(np.searchsorted(counts, ENOUGH_BATTLES)) + 1
    # Each fold's temperature comes from another.
    return table.fold_numbers[: max(enough, 2)]


def _measure_alone(
    table: Table, columns: Sequence[Column], measured: Sequence[int], rows: Rows, seed: int
) -> dict[str, Any]:
    """Measure a blend that sees one signal only, with default parameters, so untuned."""
    own = {column.name for column in columns}
    alone = table.select(lambda column: column.name in own)
    default = plan_for(len(table.labels)).default
    _, prediction = fit_blend(alone, default, seed, held_out=measured)
    return measure_blend(prediction.take(rows), alone.take(rows), seed)


def _measure_without(
    table: Table,
    columns: Sequence[Column],
    full: BlendOutOfFold,
    parameters: BoostingParameters,
    measured: Sequence[int],
    rows: Rows,
    seed: int,
) -> dict[str, Any]:
    """Measure what a signal adds: the loss without it less the loss with it, calibrated, paired.

    The trees keep the parameters that were tuned with all signals.
    """
    gone = {column.name for column in columns}
    rest = table.select(lambda column: column.name not in gone)
    _, prediction = fit_blend(rest, parameters, seed, full.trees.repeats, held_out=measured)
    scored = table.take(rows)
    labels, folds = scored.labels, scored.folds
    complete = cross_fitted_temperature(full.probabilities, labels, folds)
    without = cross_fitted_temperature(prediction.take(rows).probabilities, labels, folds)
    return {
        "log_loss": log_loss(without, labels),
        "gain": asdict(paired_difference(without, complete, labels, scored.groups, seed)),
    }


def _measure_members(prediction: BlendOutOfFold, table: Table, seed: int) -> dict[str, Any]:
    """Each member by itself, calibrated, and how much better the blend is than it, paired."""
    labels, folds, groups = table.labels, table.folds, table.groups
    blended = cross_fitted_temperature(prediction.probabilities, labels, folds)
    measured = {}
    for name, member in prediction.members.items():
        alone = cross_fitted_temperature(member, labels, folds)
        measured[name] = {
            "log_loss": asdict(bootstrap_mean(row_log_loss(alone, labels), groups, seed)),
            "gain_of_the_blend": asdict(paired_difference(alone, blended, labels, groups, seed)),
        }
    return measured


def _measure_search(result: SearchResult, refolded: Mapping[int, float]) -> dict[str, Any]:
    """Describe what was tried, and how far the best trial's loss can be trusted."""
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


def _loss_on_other_folds(
    table: Table, folding: int, parameters: BoostingParameters, seed: int
) -> float:
    """Calibrated out-of-fold loss of given parameters on folds that did not choose them."""
    folds: Rows = deal_folds(table.groups, table.labels, len(table.fold_numbers), folding)
    _, prediction = fit_blend(replace(table, folds=folds), parameters, seed)
    calibrated = cross_fitted_temperature(prediction.probabilities, table.labels, folds)
    return log_loss(calibrated, table.labels)
