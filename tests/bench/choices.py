"""What the ensemble is made of, and what was tried: ``python -m tests.bench.choices --run RUN``.

On the signals and folds of a finished run, each choice is undone or replaced by
its alternative; trees have default parameters everywhere, so nothing is tuned
for one side. The table states the calibrated out-of-fold loss and how much
worse it is than the ensemble's, paired by battle, with 95 % intervals over
resampled prompts. An interval that holds 0 shows no difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit

import models.stacking.coordinates
import models.stacking.kernel
from featlab.battles.schema import TIE
from featlab.columns import Kind
from featlab.parity import Parity
from featlab.threads import wait_passively
from models.evaluation.metrics import bootstrap_mean, paired_difference
from models.probabilities import Labels, Probabilities, row_log_loss
from models.stacking.blend import like_sides_offsets, mean_of_members, with_tie_offset
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.kernel import KernelOutOfFold, fit_kernel, joined_probabilities
from models.stacking.scaled_columns import ScaledColumns
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters, FoldTrainer, fit_trees, mean_over_orders
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder

SEED = 0
KEPT = 100
"""Columns that a selection by stability keeps."""


def default_trees(
    data: Table,
    kernel: KernelOutOfFold | None = None,
    repeats: int = 1,
    hidden_ties: dict[int, NDArray[np.float64]] | None = None,
) -> Probabilities:
    """Out-of-fold predictions of the trees with default parameters."""
    ties = hidden_ties if hidden_ties is not None else (kernel.hidden_ties if kernel else {})
    return fit_trees(data, BoostingParameters(), SEED, repeats, ties)[1].probabilities


def fit_ridge(data: Table) -> Probabilities:
    """Ridge logistic regressions: odd columns for who wins, even ones for ties."""
    data = data.select(lambda column: column.kind is not Kind.VECTOR)
    found = np.zeros((len(data.labels), 3))
    for fold in data.fold_numbers:
        rows, held = data.training_rows(fold), np.flatnonzero(data.folds == fold)
        logits = []
        for kind in (Parity.ODD, Parity.EVEN):
            odd = kind is Parity.ODD
            frame, labels, folds = data.frame[rows], data.labels[rows], data.folds[rows]
            if odd and data.extra is not None:
                frame = pl.concat([frame, data.extra.frame])
                labels = np.concatenate([labels, data.extra.outcomes.shares.argmax(1)])
                folds = np.concatenate([folds, data.extra.folds])
            names = [column.name for column in data.columns if column.parity is kind]
            columns = ScaledColumns.of(frame, names, odd=odd)
            kept = np.flatnonzero(labels != TIE) if odd else np.arange(len(labels))
            model = LogisticRegressionCV(
                Cs=1.0 / np.array([4000.0, 2000.0, 1000.0, 500.0, 250.0, 125.0, 60.0, 30.0]),
                cv=PredefinedSplit(folds[kept]),
                fit_intercept=not odd,
                scoring="neg_log_loss",
                solver="newton-cholesky",
                l1_ratios=(0.0,),
                use_legacy_attributes=False,
            )
            scaled = columns.scale(columns.read(frame))
            model.fit(scaled[kept], (labels[kept] == (0 if odd else TIE)).astype(int))
            logits.append(model.decision_function(columns.scale(columns.read(data.frame[held]))))
        found[held] = joined_probabilities(logits[0], logits[1])
    return found


def two_boosters(data: Table, kernel: KernelOutOfFold) -> Probabilities:
    """Who wins from odd columns, ties from even ones: two sets of trees, joined."""

    def part(kind: Parity) -> Probabilities:
        return default_trees(data.select(lambda column: column.parity is kind), kernel)

    return joined_probabilities(margins(part(Parity.ODD)), tie_logits(part(Parity.EVEN)))


def margins(probabilities: Probabilities) -> NDArray[np.float64]:
    """The log odds of a against b."""
    return np.log(probabilities[:, 0] / probabilities[:, 1])


def tie_logits(probabilities: Probabilities) -> NDArray[np.float64]:
    """The log odds of a tie."""
    return np.log(probabilities[:, TIE] / (1.0 - probabilities[:, TIE]))


def ridge_for_ties(data: Table, blend: Probabilities) -> Probabilities:
    """A third voice on ties alone: a ridge logistic regression on the even columns."""
    ties = (2 * tie_logits(blend) + tie_logits(fit_ridge(data))) / 3
    return joined_probabilities(margins(blend), ties)


def ties_by_margin(data: Table, blend: Probabilities) -> Probabilities:
    """Ties as a logistic regression on the other folds sees them, from tie logit and margin."""
    rows = np.stack([tie_logits(blend), np.abs(margins(blend))], axis=1)
    ties = np.zeros(len(rows))
    for fold in data.fold_numbers:
        inside, held = data.folds != fold, data.folds == fold
        model = LogisticRegression(C=1e6).fit(rows[inside], data.labels[inside] == TIE)
        ties[held] = model.decision_function(rows[held])
    return joined_probabilities(margins(blend), ties)


def stable_columns(data: Table, kernel: KernelOutOfFold) -> Probabilities:
    """Trees on the columns whose least gain over the training folds is largest."""
    found = np.zeros((len(data.labels), 3))
    for fold in data.fold_numbers:
        inside = data.take(data.training_rows(fold))
        gains = []
        for left_out in inside.fold_numbers:
            trainer = FoldTrainer(inside, left_out, SEED, kernel.hidden_ties.get(fold))
            gains.append(trainer.fit_stopped(BoostingParameters()).feature_importance("gain"))
        least = np.min([gain / max(gain.sum(), 1e-12) for gain in gains], axis=0)
        kept = {data.scalars[column].name for column in np.argsort(-least)[:KEPT]}
        chosen = data.select(lambda column, kept=kept: column.name in kept)
        trainer = FoldTrainer(chosen, fold, SEED, kernel.hidden_ties.get(fold))
        rounds = max(trainer.fit_stopped(BoostingParameters()).best_iteration, 1)
        booster = trainer.fit_all(BoostingParameters(), rounds)
        found[trainer.held_out_rows] = mean_over_orders(*trainer.predict_held_out(booster))
    return found


def logistic_blend(data: Table, trees: Probabilities, near: Probabilities) -> Probabilities:
    """Both members' log probabilities weighed by a logistic regression on the other folds."""
    both = [np.log(trees), np.log(near)]
    rows = np.hstack(both)
    exchanged = np.hstack([part[:, [1, 0, 2]] for part in both])
    found = np.zeros_like(trees)
    mirrored = np.where(data.labels == TIE, TIE, 1 - data.labels)
    for fold in data.fold_numbers:
        inside, held = data.folds != fold, data.folds == fold
        model = LogisticRegression(C=1.0, max_iter=1000).fit(
            np.vstack([rows[inside], exchanged[inside]]),
            np.concatenate([data.labels[inside], mirrored[inside]]),
        )
        found[held] = mean_over_orders(
            model.predict_proba(rows[held]), model.predict_proba(exchanged[held])
        )
    return found


def isotonic(probabilities: Probabilities, labels: Labels, folds: NDArray[Any]) -> Probabilities:
    """Each class calibrated by isotonic regression on the other folds, both orders."""
    found = np.zeros_like(probabilities)
    for fold in np.unique(folds):
        inside, held = folds != fold, folds == fold
        wins = np.concatenate([probabilities[inside, 0], probabilities[inside, 1]])
        won = np.concatenate([labels[inside] == 0, labels[inside] == 1]).astype(float)
        win = IsotonicRegression(out_of_bounds="clip").fit(wins, won)
        tie = IsotonicRegression(out_of_bounds="clip").fit(
            probabilities[inside, TIE], (labels[inside] == TIE).astype(float)
        )
        stacked = [win.predict(probabilities[held, side]) for side in (0, 1)]
        stacked.append(tie.predict(probabilities[held, TIE]))
        found[held] = np.clip(np.stack(stacked, axis=1), 1e-3, None)
    return found / found.sum(axis=1, keepdims=True)


def refit_kernel(data: Table, **constants: float) -> Probabilities:
    """The kernel with other constants."""
    with ExitStack() as changed:
        for name, value in constants.items():
            rooms = models.stacking.kernel, models.stacking.coordinates
            (room,) = (room for room in rooms if hasattr(room, name))
            changed.enter_context(mock.patch.object(room, name, value))
        return fit_kernel(data, SEED)[1].probabilities


def choices(data: Table) -> dict[str, Callable[[], Probabilities]]:
    """Name -> what makes its out-of-fold predictions, calibrated."""
    kernel = fit_kernel(data, SEED)[1]
    near, trees = kernel.probabilities, default_trees(data, kernel)
    folds, labels = data.folds, data.labels

    def with_offset(mean: Probabilities) -> Probabilities:
        return with_tie_offset(mean, like_sides_offsets(data, mean)[1])

    bare = mean_of_members(trees, near)
    blend = with_offset(bare)

    def calibrated(made: Callable[[], Probabilities]) -> Callable[[], Probabilities]:
        return lambda: cross_fitted_temperature(with_offset(made()), labels, folds)

    tried: dict[str, Callable[[], Probabilities]] = {
        "**trees and kernel, half each**": lambda: bare,
        "trees alone": lambda: trees,
        "kernel alone": lambda: near,
        "ridge regressions in place of the kernel": lambda: mean_of_members(trees, fit_ridge(data)),
        "ridge regressions as a third voice": lambda: (trees + near + fit_ridge(data)) / 3,
        "members weighed by a logistic regression": lambda: logistic_blend(data, trees, near),
        "three seeds a fold": lambda: mean_of_members(default_trees(data, kernel, 3), near),
        "two boosters: odd columns for who wins, even for ties": lambda: mean_of_members(
            two_boosters(data, kernel), near
        ),
        "ridge regression as a third voice on ties": lambda: ridge_for_ties(data, bare),
        "ties moved by the size of the margin": lambda: ties_by_margin(data, bare),
        f"trees on the {KEPT} columns of steadiest gain": lambda: mean_of_members(
            stable_columns(data, kernel), near
        ),
        "kernel over all columns, not families": lambda: mean_of_members(
            trees, refit_kernel(data, FAMILY_SHARE=0.0)
        ),
        "kernel of half the landmarks": lambda: mean_of_members(
            trees, refit_kernel(data, LANDMARKS=models.stacking.kernel.LANDMARKS // 2)
        ),
    }
    if len(data.scalars) < len(data.columns):
        scalars = data.select(lambda column: column.kind is not Kind.VECTOR)
        tried |= {
            "kernel without vectors": lambda: mean_of_members(trees, refit_kernel(scalars)),
            "vectors at four times the share": lambda: mean_of_members(
                trees, refit_kernel(data, VECTOR_SHARE=1.0)
            ),
        }
    if data.extra is not None:
        alone = replace(data, extra=None)
        no_ties = {fold: np.zeros(len(data.extra.folds)) for fold in data.fold_numbers}
        tried |= {
            "extra battles for the signals only": lambda: mean_of_members(
                default_trees(alone), refit_kernel(alone)
            ),
            "extra battles for the kernel, not the trees": lambda: mean_of_members(
                default_trees(alone), near
            ),
            "hidden ties at the base rate": lambda: mean_of_members(default_trees(data), near),
            "no hidden ties": lambda: mean_of_members(
                default_trees(data, hidden_ties=no_ties), near
            ),
        }
    return {
        **{name: calibrated(made) for name, made in tried.items()},
        "no offset where the sides are alike": lambda: cross_fitted_temperature(
            bare, labels, folds
        ),
        "not calibrated": lambda: blend,
        "isotonic regression in place of the temperature": lambda: isotonic(blend, labels, folds),
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="finished run folder")
    options = parser.parse_args()
    wait_passively()
    data = finished_run(RunFolder(options.run)).table()
    groups = data.groups
    tried = choices(data)
    chosen = next(iter(tried.values()))()
    print("| what | log loss | 95 % interval | worse by | 95 % interval | seconds |")
    print("|---|---|---|---|---|---|")
    for name, make in tried.items():
        start = time.perf_counter()
        found = make()
        seconds = time.perf_counter() - start
        loss = bootstrap_mean(row_log_loss(found, data.labels), groups, SEED)
        gap = paired_difference(found, chosen, data.labels, groups, SEED)
        print(
            f"| {name} | {loss.value:.4f} | {loss.low:.4f} to {loss.high:.4f} "
            f"| {gap.value:+.4f} | {gap.low:+.4f} to {gap.high:+.4f} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
