"""What it gives to fit slower than the search did: ``python -m tests.bench.final_pace RUN``.

The trees of a finished run, one seed, with the parameters that its best trial
had, and at a half and a quarter of that learning rate; folds and kernel are the
run's. States the calibrated out-of-fold loss of trees and blend, and the paired
difference with a 95 % interval over resampled prompts.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from featlab.threads import wait_passively
from models.evaluation.metrics import bootstrap_mean
from models.probabilities import row_log_loss
from models.stacking.blend import mean_of_members
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.search import plan_for
from models.stacking.trees import BoostingParameters, fit_trees
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.stages.kernel import read_kernel_out_of_fold
from pipelines.run.stages.search import read_search


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", help="the folds to predict, all by default")
    options = parser.parse_args()
    wait_passively()
    folder = RunFolder(options.run)
    table, found = finished_run(folder, ()).table(), read_search(folder.search).parameters
    near = read_kernel_out_of_fold(folder.kernel)
    plan, folds = plan_for(len(table.labels)), options.folds or table.fold_numbers
    rows = np.flatnonzero(np.isin(table.folds, folds))
    labels, groups, dealt = table.labels[rows], table.groups[rows], table.folds[rows]
    trial = replace(found, learning_rate=found.learning_rate * plan.slower, patience=plan.patience)
    patience = BoostingParameters().patience
    print("| rate | trees | worse by | 95 % interval | blend | worse by | 95 % interval |")
    print("|---|---|---|---|---|---|---|")
    first: list[np.ndarray] = []
    for slower in (1.0, 2.0, 4.0):
        parameters = replace(trial, learning_rate=trial.learning_rate / slower)
        if slower > 1.0:
            parameters = replace(parameters, patience=patience)
        _, split = fit_trees(table, parameters, 0, 1, near.hidden_ties, folds)
        losses = [
            row_log_loss(cross_fitted_temperature(predicted[rows], labels, dealt), labels)
            for predicted in (
                split.probabilities,
                mean_of_members(split.probabilities, near.probabilities),
            )
        ]
        first = first or losses
        cells = [f"{parameters.learning_rate:.3f}"]
        for loss, base in zip(losses, first, strict=True):
            gap = bootstrap_mean(loss - base, groups, 0)
            cells += [
                f"{loss.mean():.5f}",
                f"{gap.value:+.5f}",
                f"{gap.low:+.5f} to {gap.high:+.5f}",
            ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
