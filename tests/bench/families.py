"""What each family of features is worth: ``python -m tests.bench.families --data FILE``.

The text signal alone, on several foldings, with default parameters: every family
together, then without one after the other. The table states the mean calibrated
out-of-fold loss, how much worse it is than with every family, paired by battle
over the mean of the foldings, with a 95 % interval over resampled prompts, and
the same for each folding. ``--blend`` adds trees to the kernel, at five times
the time, and then undoes what the blend makes of families and of like sides.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import ExtraFile, read_battles, read_extra, recognise, without_prompts_of
from featlab.battles.folds import make_folds
from featlab.battles.schema import TEXTS
from featlab.features import FAMILIES
from featlab.signals.outcomes import Outcomes
from featlab.signals.text import TextSignal
from featlab.threads import wait_passively
from models.evaluation.metrics import bootstrap_mean
from models.probabilities import row_log_loss
from models.stacking import coordinates
from models.stacking.blend import fit_blend
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.kernel import fit_kernel
from models.stacking.table import Table, stacked_columns, stacked_frame
from models.stacking.trees import BoostingParameters

FOLDINGS = (0, 1, 2)
NEW = ("code", "ending", "repetition", "stance", "agreement", "compliance")
ONE_KERNEL = "one kernel over all columns"
NO_OFFSET = "no offset where the sides are alike"
NEITHER = "neither kernels of families nor that offset"
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "every family": (),
    **{f"without {family}": (family,) for family in FAMILIES},
    f"without {', '.join(NEW)}": NEW,
    ONE_KERNEL: (),
    NO_OFFSET: (),
    NEITHER: (),
}
OF_THE_BLEND = (NO_OFFSET, NEITHER)


def losses(table: Table, name: str, *, blend: bool) -> NDArray[np.float64]:
    """The calibrated out-of-fold loss of every battle."""
    share = 0.0 if name in (ONE_KERNEL, NEITHER) else coordinates.FAMILY_SHARE
    with mock.patch.object(coordinates, "FAMILY_SHARE", share):
        kernel = fit_kernel(table, 0)
    predicted = kernel[1].probabilities
    if blend:
        found = fit_blend(table, BoostingParameters(), 0, kernel=kernel)[1]
        if name in OF_THE_BLEND:
            found = replace(found, offset=np.zeros(len(predicted)))
        predicted = found.probabilities
    calibrated = cross_fitted_temperature(predicted, table.labels, table.folds)
    return row_log_loss(calibrated, table.labels)


def extra_table(source: Path, battles: pl.DataFrame) -> Table:
    """The text signal of further battles whose prompts are not among the others'."""
    read = read_extra(ExtraFile(source, 1.0), recognise(source).schema)
    kept = without_prompts_of(read, battles.select(TEXTS))
    signal, outcomes = TextSignal(), Outcomes.of(kept)
    columns = stacked_columns(signal.columns())
    frame = stacked_frame(signal.prepare(kept.lazy()), columns)
    return Table(frame, columns, outcomes, outcomes.inner_folds(5, 0, "extra"))


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="training file")
    parser.add_argument("--blend", action="store_true", help="trees and kernel, not kernel alone")
    parser.add_argument("--extra", type=Path, help="further battles for the training side")
    parser.add_argument("--only", nargs="*", help="rows of the table, by name")
    options = parser.parse_args()
    wait_passively()
    battles = read_battles(options.data).collect()
    outcomes, signal = Outcomes.of(battles), TextSignal()
    frame = signal.prepare(battles.lazy())
    further = extra_table(options.extra, battles) if options.extra else None
    folds = [make_folds(battles, 5, seed)["fold"].to_numpy().astype(np.int64) for seed in FOLDINGS]
    print("| features | columns | log loss | worse by | 95 % interval | in each folding |")
    print("|---|---|---|---|---|---|")
    full = np.zeros((len(FOLDINGS), len(battles)))
    for name, families in LEFT_OUT.items():
        first = not full.any()
        if not first and options.only and name not in options.only:
            continue
        if name in OF_THE_BLEND and not options.blend:
            continue
        columns = stacked_columns(c for c in signal.columns() if c.family not in families)
        table = Table(stacked_frame(frame, columns), columns, outcomes, folds[0])
        if further is not None:
            kept = {column.name for column in columns}
            own = further.select(lambda column, kept=kept: column.name in kept)
            table = replace(table, extra=own)
        found = np.array(
            [losses(replace(table, folds=fold), name, blend=options.blend) for fold in folds]
        )
        row = f"| {name} | {len(columns)} | {found.mean():.4f} |"
        if first:
            full = found
            print(f"{row} | | |", flush=True)
            continue
        worse = found - full
        gap = bootstrap_mean(worse.mean(0), outcomes.groups, 0)
        each = ", ".join(f"{value:+.4f}" for value in worse.mean(1))
        print(f"{row} {gap.value:+.4f} | {gap.low:+.4f} to {gap.high:+.4f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
