"""Time of a single battle, once a run is loaded: ``python -m tests.bench.one_battle RUN``.

States milliseconds, the median and the least of many, for `predict_one` and for
its parts: each signal by itself, and each member of the blend on their table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import models
from featlab.threads import wait_passively
from models.loaded import one_battle
from models.stacking.out_of_fold import mean_columns

BATTLE = (
    "How do I reverse a list in Python?",
    "Use `x.reverse()`, or slice it:\n\n```python\nx[::-1]\n```\n",
    "You can't.\n- Not in place.\n- Not at all.",
)


def milliseconds(call: Callable[[], object], times: int) -> str:
    """Return median and least."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - start))
    return f"{statistics.median(taken):6.1f} {min(taken):6.1f}"


def main() -> None:
    """Print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--times", type=int, default=100)
    options = parser.parse_args()
    wait_passively()
    model = models.load(options.run)
    predictor, battle = model.ensemble, one_battle(*BATTLE)
    table = predictor.table(battle)
    calls: dict[str, Callable[[], object]] = {
        "predict_one": lambda: model.predict_one(*BATTLE),
        **{
            name: lambda fitted=fitted: mean_columns(fitted, battle)
            for name, fitted in predictor.signals.items()
        },
        "all signals": lambda: predictor.table(battle),
        "trees": lambda: predictor.blend.trees.predict(table),
        "kernel": lambda: predictor.blend.kernel.predict(table),
    }
    print("ms            median  least")
    for name, call in calls.items():
        print(f"{name:<13} {milliseconds(call, options.times)}")


if __name__ == "__main__":
    main()
