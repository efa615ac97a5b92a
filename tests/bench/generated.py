"""How much of the way to the best possible loss each signal goes, by battles generated.

``python -m tests.bench.generated --battles 2000 6000 20000`` trains the preset
``fast`` on generated battles, whose true probabilities are known. Losses are
out of fold and calibrated, each signal alone with default parameters; 0 % is
the prior, 100 % are the true probabilities on the same battles.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from featlab.battles import PROBABILITIES
from featlab.files import read_json
from models.probabilities import log_loss
from pipelines.run.folder import RunFolder


def closed(run: Path) -> dict[str, float]:
    """Return predictor -> share of the way from the prior to the truth."""
    truth = pl.read_parquet(run / "data" / "train_truth.parquet")
    metrics = read_json(RunFolder(run).metrics)
    best = log_loss(truth.select(PROBABILITIES).to_numpy(), truth["label"].to_numpy().astype(int))
    first = metrics["prior"]["log_loss"]["value"]
    measured = {name: found["after_calibration"] for name, found in metrics["signals"].items()}
    measured["ensemble"] = metrics["ensemble"]["after_calibration"]
    return {
        name: (first - found["log_loss"]["value"]) / (first - best)
        for name, found in measured.items()
    }


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--battles", type=int, nargs="+", default=[2_000, 6_000, 20_000])
    parser.add_argument("--keep", type=Path, help="folder for the runs, kept afterwards")
    options, further = parser.parse_known_args()
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for count in options.battles:
            run = (options.keep or Path(temporary)) / f"generated-{count}"
            command = [sys.executable, "-m", "pipelines.demo", "--run", str(run)]
            command += ["--battles-to-train", str(count), *further]
            subprocess.run(command, check=True)
            found[count] = closed(run)
    print("| battles | " + " | ".join(next(iter(found.values()))) + " |")
    print("|---|" + "---|" * len(next(iter(found.values()))))
    for count, shares in found.items():
        print(f"| {count:,} | " + " | ".join(f"{share:.0%}" for share in shares.values()) + " |")


if __name__ == "__main__":
    main()
