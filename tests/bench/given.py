"""What ``--given`` is worth: ``python -m tests.bench.given --data DATA --run FOLDER``.

The other model is made up, so its quality is known: it states p, drawn from a
Dirichlet distribution around the shares of the outcomes, and the outcome is
drawn from p. Conditional on an outcome y that has happened, p is Dirichlet with one
more count of y, which is how it is drawn here: a calibrated model of any wanted loss
on real votes, that knows nothing of the texts. The table states the out-of-fold loss of
it, of the ensemble without it and of the ensemble that reads it, and how much the last is
better than either, paired by battle, with 95 % intervals over resampled prompts.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma

from featlab.battles import PROBABILITIES
from models.evaluation.metrics import paired_difference
from models.probabilities import Labels, Probabilities, log_loss, prior
from pipelines.run.console import run_command
from pipelines.run.settings import TrainSettings
from pipelines.train_ensemble import main as train_ensemble

LOSSES = (0.95, 1.0, 1.05)


def expected_loss(counts: NDArray[np.float64]) -> float:
    """The log loss of a model whose p is Dirichlet with these counts and true.

    >>> round(expected_loss(np.full(3, 1e9)), 4)
    1.0986
    """
    total = counts.sum()
    return float((counts / total * (digamma(total + 1) - digamma(counts + 1))).sum())


def teacher(labels: Labels, loss: float, seed: int) -> Probabilities:
    """What a calibrated model of that loss states of battles that ended so."""
    shares = np.asarray(prior(labels))
    total = brentq(lambda size: expected_loss(size * shares) - loss, 1e-3, 1e6)
    generator = np.random.default_rng(seed)
    drawn = generator.standard_gamma(total * shares + np.eye(3)[labels])
    return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def train(data: Path, run: Path, *more: str) -> pl.DataFrame:
    """Train the ensemble without an encoder; return its out-of-fold predictions."""
    arguments = ["--data", str(data), "--run", str(run), "--preset", "fast", *more]
    run_command(train_ensemble, TrainSettings, "train", arguments)
    return pl.read_parquet(run / "oof.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--run", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--trials", default="8")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    short = ("--trials", given.trials, "--fold-repeats", "0")
    without = train(given.data, given.run / "without", *short)
    labels = without["label"].to_numpy().astype(np.int64)
    groups = pl.read_parquet(given.run / "without" / "folds.parquet")["group"].to_numpy()
    ours = without.select(PROBABILITIES).to_numpy()
    lines = [
        f"{'other alone':<13}{'ours alone':<13}{'together':<11}better than the other, than ours"
    ]
    for loss in LOSSES:
        stated = teacher(labels, loss, given.seed)
        file, run = given.run / f"teacher_{loss}.csv", given.run / f"with_{loss}"
        columns = dict(zip(PROBABILITIES, stated.T, strict=True))
        pl.DataFrame({"id": without["id"], **columns}).write_csv(file)
        shutil.copytree(given.run / "without", run, dirs_exist_ok=True)
        found = train(given.data, run, *short, "--given", f"llm={file}")
        together = found.select(PROBABILITIES).to_numpy()
        gains = (paired_difference(one, together, labels, groups, 0) for one in (stated, ours))
        shown = (f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})" for gain in gains)
        losses = "".join(f"{log_loss(one, labels):<13.4f}" for one in (stated, ours, together))
        lines.append(losses[:-2] + ", ".join(shown))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
