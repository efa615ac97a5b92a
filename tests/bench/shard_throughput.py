"""Rows a second of features by shards: ``python -m tests.bench.shard_throughput``.

Battles are tiled to the size of the competition's file and cut into shards;
they are made in this process with one thread, with all, and, where Ray is
installed, by one and by two Ray workers of one core. Starting Ray and its
workers is told apart: it takes seconds once, however many shards there are.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from featlab.progress import Progress
from featlab.shards import FeatureShards, find_sources, make_shards
from featlab.threads import thread_count
from tests.bench.features import FULL_SIZE, battles_to_tile, tile


def write_shards(folder: Path, rows: int, shards: int) -> str:
    """Cut tiled battles into parquet files, and say where they come from."""
    source, battles = battles_to_tile()
    for number, part in enumerate(tile(battles, rows).iter_slices(-(-rows // shards))):
        part.write_parquet(folder / f"{number:04}.parquet")
    return source


def run_way(way: str, folder: Path) -> None:
    """Make the shards in one way, in a process of its own, and print a line."""
    sources = find_sources(str(folder / "*.parquet"))
    out = Path(tempfile.mkdtemp(dir=folder))
    ends: list[float] = []

    def tell(_: Progress) -> None:
        ends.append(time.perf_counter())

    if way.startswith("ray"):
        import ray

        from featlab.shards.on_ray import make_shards_on_ray

        workers = int(way.removeprefix("ray"))
        quiet = {"include_dashboard": False, "log_to_driver": False}
        ray.init(num_cpus=workers, object_store_memory=200_000_000, **quiet)
        report = make_shards_on_ray(
            sources, out, FeatureShards(), workers=workers, on_progress=tell
        )
        name = f"{workers} Ray worker{'s' * (workers > 1)} of one core"
    else:
        report = make_shards(sources, out, FeatureShards(), on_progress=tell)
        name = f"this process, {thread_count()} thread{'s' * (thread_count() > 1)}"
    report.raise_failed()
    # From the start of the first shard to the end of the last.
    working = ends[-1] - ends[0] + min(made.seconds for made in report.made)
    print(
        f"  {name}: {report.rows / working:,.0f} rows/s once started "
        f"({report.rows:,} rows in {report.seconds:.1f} s all told)",
        flush=True,
    )


def main() -> None:
    """Print rows a second of each way."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, default=FULL_SIZE)
    parser.add_argument("--shards", type=int, default=32)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run_way(options.way, options.folder)
        return
    one = {"POLARS_MAX_THREADS": "1", "FEATLAB_THREADS": "1"}
    ways = [("one", one), ("all", {})]
    if importlib.util.find_spec("ray"):
        quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
        ways += [("ray1", quiet), ("ray2", quiet)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_shards(folder, options.rows, options.shards)
        print(f"features of {options.rows:,} {source} in {options.shards} shards", flush=True)
        for way, settings in ways:
            command = [sys.executable, "-m", "tests.bench.shard_throughput"]
            command += ["--way", way, "--folder", name]
            subprocess.run(
                command, env={**os.environ, **settings}, check=True, stderr=subprocess.DEVNULL
            )


if __name__ == "__main__":
    main()
