"""Time and memory of the text signal: ``python -m tests.bench.features``.

Battles are tiled to the size of the competition's training file with fresh
ids, then `pipelines.features` runs as its own process, as a user would run it.
Battles come from ``FEATLAB_TEST_DATA`` where that is set, else they are
generated. ``--families`` adds what each family of features costs alone, with all
that it is built upon.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from featlab.features import FAMILIES, BattleColumns
from featlab.generated import generate_battles
from featlab.threads import thread_count
from featlab.versions import versions

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


def machine() -> str:
    """Processor, threads and versions, as a measurement has to state them."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    known = versions()
    engines = ", ".join(f"{name} {known[name]}" for name in ("polars", "numpy"))
    return f"{names[0] if names else platform.machine()}, {thread_count()} threads, {engines}"


def print_families(battles: Path) -> None:
    """Wall and processor seconds of every family alone, and of all together, as Markdown."""
    print("| family | columns | wall s | processor s |\n|---|---|---|---|")
    for name, families in {**{name: [name] for name in FAMILIES}, "all": None}.items():
        columns = BattleColumns(families=families)
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        columns.compute(pl.scan_parquet(battles)).collect(engine="streaming")
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"| {name} | {len(columns.names)} | {wall:.2f} | {processor:.2f} |", flush=True)


def main() -> None:
    """Print the median of several runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=FULL_SIZE)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--families", action="store_true", help="what each costs alone")
    options = parser.parse_args()
    source, battles = battles_to_tile()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        tile(battles, options.rows).write_csv(data / "train.csv")
        size = (data / "train.csv").stat().st_size / 1e6
        runs = [run_once(data, data / f"run{index}") for index in range(options.runs)]
        print(machine())
        if options.families:
            print_families(data / "run0" / "battles.parquet")
    wall, processor, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    print(
        f"text signal, {options.rows} rows of {source}, {size:.0f} MB of CSV, median of {len(runs)}"
    )
    print(f"  wall {wall:.2f} s, processor {processor:.2f} s, peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
