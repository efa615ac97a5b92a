"""The whole main job on generated battles: ``python -m pipelines.demo``.

The true probabilities of generated battles are known, so the demonstration can
say what no real data can: how close the ensemble comes to the best possible
log loss, on test battles it never saw.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES
from featlab.generated import expected_log_loss, truth_matrix, write_battles
from featlab.progress import note
from models.probabilities import Probabilities, prior
from pipelines.run.console import run_command
from pipelines.run.settings import DemoSettings, SubmitSettings, TrainSettings
from pipelines.submit import main as submit
from pipelines.train_ensemble import next_commands, train


def main(settings: DemoSettings) -> None:
    """Generate, train, submit, and compare with the optimum."""
    folder = settings.run / "data"
    written = write_battles(
        folder, settings.battles_to_train, settings.battles_to_test, settings.seed
    )
    note(f"generated {settings.battles_to_train} + {settings.battles_to_test} battles in {folder}")
    fields = set(TrainSettings.model_fields) - {"config", "data"}
    training = TrainSettings.model_construct(
        **{name: getattr(settings, name) for name in fields}, config=None, data=folder
    )
    train(training)
    out = settings.run / "submission.csv"
    submit(
        SubmitSettings.model_construct(
            run=settings.run, test=folder / "test.csv", out=out, verbose=settings.verbose
        )
    )
    predicted = pl.read_csv(out).select(PROBABILITIES).to_numpy()
    truth = truth_matrix(written.test.truth)
    shares = prior(pl.read_parquet(folder / "train_truth.parquet")["label"].to_numpy().astype(int))
    print_comparison(truth, predicted, np.tile(shares, (len(truth), 1)))
    print(next_commands(training))
    print("and on real battles:")
    print("  make data && make train-ensemble DATA=data RUN=runs/default PRESET=fast")


def print_comparison(truth: Probabilities, predicted: Probabilities, guess: Probabilities) -> None:
    """How far from the prior to the optimum the predictions come, in expected log loss."""
    first, reached, best = (
        expected_log_loss(truth, guess),
        expected_log_loss(truth, predicted),
        expected_log_loss(truth),
    )
    print(f"{'test battles, expected log loss':<34}")
    print(f"{'  prior of the training battles':<34}{first:.4f}")
    print(f"{'  ensemble':<34}{reached:.4f}")
    print(f"{'  optimum, the true probabilities':<34}{best:.4f}")
    print(f"the ensemble closes {(first - reached) / (first - best):.0%} of the gap to the optimum")


if __name__ == "__main__":
    run_command(main, DemoSettings, "python -m pipelines.demo")
