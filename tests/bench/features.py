"""Time and memory of the text signal: ``python -m tests.bench.features``.

Battles are tiled to the size of the competition's training file with fresh
ids, then `pipelines.features` runs as its own process, as a user would run it.
Battles come from ``FEATLAB_TEST_DATA`` where that is set, else they are
generated.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from featlab.generated import generate_battles

FULL_SIZE = 57_477


def battles_to_tile() -> tuple[str, pl.DataFrame]:
    """Where the battles come from, and the battles in the competition's columns."""
    folder = os.environ.get("FEATLAB_TEST_DATA")
    if folder:
        return "real battles", pl.read_csv(Path(folder) / "arena" / "train.csv")
    return "generated battles", generate_battles(2_000, seed=0).train


def tile(battles: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The battles over and over, with ids of their own."""
    copies = -(-rows // len(battles))
    tiled = pl.concat([battles] * copies).head(rows)
    return tiled.with_columns(pl.int_range(rows).alias("id"))


def run_once(data: Path, run: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak megabytes of one run of the command."""
    command = [sys.executable, "-m", "pipelines.features", "--data", str(data), "--run", str(run)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"pipelines.features ended with status {status}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Print the median of several runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=FULL_SIZE)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    source, battles = battles_to_tile()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        tile(battles, options.rows).write_csv(data / "train.csv")
        size = (data / "train.csv").stat().st_size / 1e6
        runs = [run_once(data, data / f"run{index}") for index in range(options.runs)]
    wall, processor, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    print(
        f"text signal, {options.rows} rows of {source}, {size:.0f} MB of CSV, median of {len(runs)}"
    )
    print(f"  wall {wall:.2f} s, processor {processor:.2f} s, peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
