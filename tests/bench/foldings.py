"""A recipe before and after, on several foldings: ``python -m tests.bench.foldings``.

Every run is a whole training, with a seed of its own, so with folds, search and
members of its own. The runs of a recipe are averaged battle by battle, so that
the paired difference is that of what the recipe does, not of one luck with folds:

python -m tests.bench.foldings --before old/0 old/1 old/2 --after new/0 new/1 new/2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import PROBABILITIES
from featlab.files import read_json
from models.evaluation.metrics import bootstrap_mean
from models.probabilities import row_log_loss
from pipelines.run.folder import RunFolder


def losses(runs: Sequence[Path], ids: pl.Series) -> NDArray[np.float64]:
    """The calibrated out-of-fold loss of every battle in every run, a row a run."""
    found = []
    for run in runs:
        frame = pl.read_parquet(RunFolder(run).out_of_fold)
        if not frame["id"].cast(pl.String).equals(ids):
            raise SystemExit(f"{run} was trained on other battles than the first run")
        labels = frame["label"].to_numpy().astype(np.int64)
        found.append(row_log_loss(frame.select(PROBABILITIES).to_numpy(), labels))
    return np.array(found)


def seconds(runs: Sequence[Path]) -> str:
    """What the stages of each run took."""
    manifests = [read_json(RunFolder(run).manifest)["stages"].values() for run in runs]
    return ", ".join(f"{sum(stage['seconds'] for stage in stages):,.0f}" for stages in manifests)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, nargs="+", required=True, help="runs, by seed")
    parser.add_argument("--after", type=Path, nargs="+", required=True, help="runs, by seed")
    options = parser.parse_args()
    first = RunFolder(options.after[0])
    ids = pl.read_parquet(first.out_of_fold)["id"].cast(pl.String)
    prompts = pl.read_parquet(first.folds)["group"].to_numpy()
    print("| recipe | mean of the foldings | 95 % interval | in each | seconds of each |")
    print("|---|---|---|---|---|")
    stated = {name: losses(getattr(options, name), ids) for name in ("before", "after")}
    for name, found in stated.items():
        mean = bootstrap_mean(found.mean(0), prompts, 0)
        each = ", ".join(f"{value:.4f}" for value in found.mean(1))
        took = seconds(getattr(options, name))
        print(
            f"| {name} | {mean.value:.4f} | {mean.low:.4f} to {mean.high:.4f} | {each} | {took} |"
        )
    gain = bootstrap_mean(stated["before"].mean(0) - stated["after"].mean(0), prompts, 0)
    each = ", ".join(
        f"{before - after:.4f}"
        for before, after in zip(stated["before"].mean(1), stated["after"].mean(1), strict=False)
    )
    print(f"| better by | {gain.value:.4f} | {gain.low:.4f} to {gain.high:.4f} | {each} | |")


if __name__ == "__main__":
    main()
