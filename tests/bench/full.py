"""Time and memory of a whole training, stage by stage: ``python -m tests.bench.full``.

`pipelines.train_ensemble` runs as its own process, with the preset ``fast`` and
default settings, on 5,000, 20,000 and 57,477 battles (the competition's). The
battles are a sample tiled to each size, with ids of their own, with a tenth of
the words of every response left out at random so that no two are copies, and
with outcomes drawn anew from known probabilities (`featlab.generated.choice`),
so that there is as much to learn as in battles that are all different. A file
of ``--data`` that has battles enough is used as it is.

What each stage took stands in the run's manifest: this prints it as a table,
with the exponent e of its growth, seconds ~ battles^e.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES, read_battles
from featlab.files import read_json
from featlab.generated.choice import ChoiceModel
from featlab.randomness import derive_seed
from featlab.threads import thread_count
from featlab.versions import versions
from pipelines.run.folder import RunFolder
from tests.bench.features import FULL_SIZE, battles_to_tile, tile

SIZES = (5_000, 20_000, FULL_SIZE)
LEFT_OUT = 0.1
"""Of the words of every response."""
SPREAD = 0.4
"""Standard deviation of the models' strengths, in log odds."""

Stages = dict[str, dict[str, float]]


def varied(battles: pl.DataFrame, rows: int, seed: int = 0) -> pl.DataFrame:
    """Return so many battles in the competition's columns, no two of them copies."""
    copies = range(0, rows, len(battles))
    parts = [
        _redrawn(battles.head(rows - start), derive_seed(seed, "copy", start)) for start in copies
    ]
    return tile(pl.concat(parts), rows)


def _redrawn(battles: pl.DataFrame, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    sides = ("response_a", "response_b")
    battles = battles.with_columns(_thinned(battles[side], random) for side in sides)
    names = sorted({*battles["model_a"].unique(), *battles["model_b"].unique()})
    strengths = {
        name: SPREAD * np.random.default_rng(derive_seed(0, name)).normal() for name in names
    }
    truth = ChoiceModel().probabilities(read_battles(battles).collect(), strengths)
    label = (random.random((len(battles), 1)) > truth[:, :2].cumsum(axis=1)).sum(axis=1)
    return battles.with_columns(
        pl.Series(name, (label == outcome).astype(np.int8))
        for outcome, name in enumerate(PROBABILITIES)
    )


def _thinned(cells: pl.Series, random: np.random.Generator) -> pl.Series:
    """Leave words out of JSON lists of turns; one that may delimit turns stays."""
    words = cells.to_frame("word").with_row_index("row").with_columns(pl.col("word").str.split(" "))
    words = words.explode("word")
    kept = words["word"].str.contains(r'["\[\]]') | pl.Series(random.random(len(words)) >= LEFT_OUT)
    joined = (
        words.filter(kept).group_by("row", maintain_order=True).agg(pl.col("word").str.join(" "))
    )
    return joined["word"].alias(cells.name)


def train(data: Path, run: Path, arguments: Sequence[str]) -> Stages:
    """Train as a user would; return what every stage took, and the process as a whole."""
    program = [sys.executable, "-m", "pipelines.train_ensemble", "--preset", "fast"]
    start = time.perf_counter()
    process = subprocess.Popen([*program, "--data", str(data), "--run", str(run), *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"pipelines.train_ensemble ended with status {status}")
    stages: Stages = read_json(RunFolder(run).manifest)["stages"]
    return stages | {
        "the whole process": {
            "seconds": time.perf_counter() - start,
            "processor_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory_mb": max(stage["peak_memory_mb"] for stage in stages.values()),
        }
    }


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> str:
    """Return the exponent of a power law through the times, where they are long enough to tell."""
    if len(sizes) < 2 or min(seconds) < 0.05:
        return ""
    return f"{np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}"


def table(found: dict[int, Stages]) -> str:
    """Return the Markdown table of stages by sizes."""
    sizes = list(found)
    last = found[sizes[-1]]
    head = [f"{size:,} battles: s, processor s, MB" for size in sizes]
    lines = [
        "| stage | " + " | ".join(head) + " | growth |",
        "|---|" + "---|" * len(sizes) + "---|",
    ]
    for stage in last:
        taken = [found[size][stage] for size in sizes]
        cells = [
            f"{each['seconds']:,.1f}, {each['processor_seconds']:,.1f}, "
            f"{each['peak_memory_mb']:,.0f}"
            for each in taken
        ]
        exponent = growth(sizes, [each["seconds"] for each in taken])
        lines.append(f"| {stage} | " + " | ".join(cells) + f" | {exponent} |")
    return "\n".join(lines)


def machine() -> str:
    """Return processor, cores and versions in a line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{names[0] if names else platform.processor()}, {thread_count()} threads; {known}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="numbers of battles")
    parser.add_argument("--data", type=Path, help="battles in the competition's columns")
    parser.add_argument("--keep", type=Path, help="folder for battles and runs, kept afterwards")
    options, further = parser.parse_known_args()
    source, battles = (
        (options.data.name, pl.read_csv(options.data)) if options.data else battles_to_tile()
    )
    found: dict[int, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        for rows in options.rows:
            data = folder / f"{rows}.csv"
            folder.mkdir(parents=True, exist_ok=True)
            if not data.is_file():
                enough = len(battles) >= rows
                (battles.head(rows) if enough else varied(battles, rows)).write_csv(data)
            found[rows] = train(data, folder / f"run-{rows}", further)
    print(f"{len(battles):,} {source}, {machine()}\n")
    print(table(found))


if __name__ == "__main__":
    main()
