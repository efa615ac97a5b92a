"""Time of the search and of the kernel at full size: ``python -m tests.bench.search_cost``.

57,477 battles of 200 columns, half of them odd and half even, in 5 folds. The
columns are noise around 20 common factors; the outcomes are drawn from
probabilities that 30 of the columns decide, so that trees go on learning for
hundreds of rounds, as on battles that are all different. Tiling a few real
battles would stop them early and flatter the result.

    python -m tests.bench.search_cost --trials 100
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from featlab.columns import Column
from featlab.parity import Parity
from featlab.signals.outcomes import Outcomes
from featlab.threads import thread_count, wait_passively
from models.probabilities import log_loss, prior
from models.stacking.kernel import fit_kernel
from models.stacking.search import open_study, search
from models.stacking.table import Table
from tests.bench.features import FULL_SIZE

FACTORS = 20
UNPRUNED = 5
"""The first trials of a search, which are never pruned."""
DECIDING = 30
"""Columns that decide the outcome."""


def stacking_table(rows: int, columns: int, folds: int = 5, seed: int = 0) -> Table:
    """Battles whose best possible log loss is about 1.05, against 1.10 of the prior."""
    random = np.random.default_rng(seed)
    odd = columns // 2
    factors = random.normal(size=(rows, FACTORS)).astype(np.float32)
    mixing = random.normal(size=(FACTORS, columns)).astype(np.float32) / np.sqrt(FACTORS)
    values = 0.7 * (factors @ mixing + random.normal(size=(rows, columns)).astype(np.float32))
    values[:, ::3] = np.round(3 * values[:, ::3])
    values[:, odd:] = np.exp(values[:, odd:])
    margin = 0.12 * np.tanh(values[:, :DECIDING]) @ random.normal(size=DECIDING)
    tie = -0.1 - 0.1 * np.tanh(values[:, odd : odd + 10]) @ random.normal(size=10)
    exponentials = np.exp(np.stack([margin, -margin, tie - 0.3 * np.abs(margin)], axis=1))
    thresholds = exponentials.cumsum(axis=1) / exponentials.sum(axis=1, keepdims=True)
    labels = (random.random((rows, 1)) > thresholds[:, :2]).sum(axis=1)
    prompts = [[str(row)] for row in range(rows)]
    described = tuple(
        Column(f"column_{index}", Parity.ODD if index < odd else Parity.EVEN, "made", "noise")
        for index in range(columns)
    )
    return Table(
        frame=pl.DataFrame(values, schema=[column.name for column in described]),
        columns=described,
        outcomes=Outcomes.of(pl.DataFrame({"prompt": prompts, "label": labels})),
        folds=random.integers(0, folds, rows),
    )


def peak_memory() -> str:
    """What this process needed at most."""
    return f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"


def main() -> None:
    """Print the time of a search, and what 100 trials take at its pace."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, default=15, help="trials to run, of 100")
    parser.add_argument("--rows", type=int, default=FULL_SIZE)
    parser.add_argument("--columns", type=int, default=200)
    options = parser.parse_args()
    wait_passively()
    table = stacking_table(options.rows, options.columns)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), time.process_time()
        study = open_study(Path(folder) / "study.journal", "bench")
        found = search(
            *(table, study, options.trials, 0),
            on_trial=lambda done, best: ends.append(time.perf_counter() - start),
        )
        wall, processor = time.perf_counter() - start, time.process_time() - before
        best = study.best_value
    guess = np.tile(prior(table.labels), (options.rows, 1))
    print(
        f"search, {options.rows:,} battles of {options.columns} columns, 5 folds, "
        f"{thread_count()} threads: {options.trials} trials, {found.pruned} of them pruned"
    )
    print(f"  wall {wall:.0f} s, processor {processor:.0f} s, {peak_memory()}")
    print(f"  best log loss {best:.4f}, prior {log_loss(guess, table.labels):.4f}")
    start = time.perf_counter()
    near = fit_kernel(table, seed=0)[1].probabilities
    wall = time.perf_counter() - start
    loss = log_loss(near, table.labels)
    print(f"  kernel, 5 folds: wall {wall:.0f} s, {peak_memory()}, log loss {loss:.4f}")
    if UNPRUNED < options.trials < 100:
        pace = (ends[-1] - ends[UNPRUNED - 1]) / (options.trials - UNPRUNED)
        whole = ends[-1] + pace * (100 - len(ends))
        print(f"  100 trials at the pace of the last ones: {whole:.0f} s")


if __name__ == "__main__":
    main()
