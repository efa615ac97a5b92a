"""How much battles of other sources should count: ``python -m tests.bench.extra_weights``.

The text signal alone, on several foldings, with default parameters: first with
``--extra``, then with one further file beside it after the other, each at every
weight of `WEIGHTS`. The table states the mean calibrated out-of-fold loss, and
how much better it is than without the file, paired by battle over the mean of
the foldings, with a 95 % interval over resampled prompts. ``--blend`` adds
trees to the kernel, at five times the time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import read_battles
from featlab.battles.folds import make_folds
from featlab.signals.outcomes import Outcomes
from featlab.signals.text import TextSignal
from featlab.threads import wait_passively
from models.evaluation.metrics import bootstrap_mean
from models.stacking.table import Table, stacked_columns, stacked_frame
from tests.bench.families import FOLDINGS, extra_table, losses

WEIGHTS = (0.1, 0.3, 1.0)


def joined(first: Table | None, second: Table) -> Table:
    """Return the extra battles of both."""
    if first is None:
        return second
    later = replace(
        second.outcomes, groups=second.outcomes.groups + first.outcomes.groups.max() + 1
    )
    both = {name: (values, getattr(later, name)) for name, values in vars(first.outcomes).items()}
    outcomes = Outcomes(
        **{
            name: pl.concat(parts) if name.startswith("model_") else np.concatenate(parts)
            for name, parts in both.items()
        }
    )
    return Table(
        pl.concat([first.frame, second.frame]),
        first.columns,
        outcomes,
        np.concatenate([first.folds, second.folds]),
    )


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="training file")
    parser.add_argument("--extra", type=Path, help="battles that take part at weight 1")
    parser.add_argument("--tried", type=Path, nargs="+", required=True, help="files to weigh")
    parser.add_argument("--blend", action="store_true", help="trees and kernel, not kernel alone")
    options = parser.parse_args()
    wait_passively()
    battles = read_battles(options.data).collect()
    outcomes, signal = Outcomes.of(battles), TextSignal()
    columns = stacked_columns(signal.columns())
    frame = stacked_frame(signal.prepare(battles.lazy()), columns)
    folds = [make_folds(battles, 5, seed)["fold"].to_numpy().astype(np.int64) for seed in FOLDINGS]
    given = extra_table(options.extra, battles) if options.extra else None

    def loss(extra: Table | None) -> NDArray[np.float64]:
        table = Table(frame, columns, outcomes, folds[0], extra)
        return np.array(
            [
                losses(replace(table, folds=fold), "every family", blend=options.blend)
                for fold in folds
            ]
        )

    print("| file | battles | weight | log loss | better by | 95 % interval | in each folding |")
    print("|---|---|---|---|---|---|---|")
    without = loss(given)
    print(f"| none | | | {without.mean():.4f} | | | |", flush=True)
    for source in options.tried:
        more = extra_table(source, battles)
        for weight in WEIGHTS:
            weighed = replace(
                more, outcomes=replace(more.outcomes, weight=more.outcomes.weight * weight)
            )
            better = without - loss(joined(given, weighed))
            gap = bootstrap_mean(better.mean(0), outcomes.groups, 0)
            each = ", ".join(f"{value:+.4f}" for value in better.mean(1))
            print(
                f"| {source.name} | {len(more.labels):,} | {weight:g} | "
                f"{(without - better).mean():.4f} | "
                f"{gap.value:+.4f} | {gap.low:+.4f} to {gap.high:+.4f} | {each} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
