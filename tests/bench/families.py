"""What each family of features is worth: ``python -m tests.bench.families --data FILE``.

The text signal alone, on several foldings, with default parameters: every family
together, then without one after the other. The table states the mean calibrated
out-of-fold loss, how much worse it is than with every family, paired by battle
over the mean of the foldings, with a 95 % interval over resampled prompts, and
the same for each folding. ``--blend`` adds trees to the kernel, at five times
the time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlab.battles import read_battles
from featlab.battles.folds import make_folds
from featlab.features import FAMILIES
from featlab.signals.outcomes import Outcomes
from featlab.signals.text import TextSignal
from featlab.threads import wait_passively
from models.evaluation.metrics import bootstrap_mean
from models.probabilities import row_log_loss
from models.stacking.blend import fit_blend
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.kernel import fit_kernel
from models.stacking.table import Table, stacked_columns, stacked_frame
from models.stacking.trees import BoostingParameters

FOLDINGS = (0, 1, 2)
NEW = ("code", "ending", "repetition", "stance", "agreement", "compliance")
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "every family": (),
    **{f"without {family}": (family,) for family in FAMILIES},
    f"without {', '.join(NEW)}": NEW,
}


def losses(table: Table, *, blend: bool) -> NDArray[np.float64]:
    """The calibrated out-of-fold loss of every battle."""
    kernel = fit_kernel(table, 0)
    predicted = kernel[1].probabilities
    if blend:
        predicted = fit_blend(table, BoostingParameters(), 0, kernel=kernel)[1].probabilities
    calibrated = cross_fitted_temperature(predicted, table.labels, table.folds)
    return row_log_loss(calibrated, table.labels)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="training file")
    parser.add_argument("--blend", action="store_true", help="trees and kernel, not kernel alone")
    parser.add_argument("--only", nargs="*", help="rows of the table, by name")
    options = parser.parse_args()
    wait_passively()
    battles = read_battles(options.data).collect()
    outcomes, signal = Outcomes.of(battles), TextSignal()
    frame = signal.prepare(battles.lazy())
    folds = [make_folds(battles, 5, seed)["fold"].to_numpy().astype(np.int64) for seed in FOLDINGS]
    print("| features | columns | log loss | worse by | 95 % interval | in each folding |")
    print("|---|---|---|---|---|---|")
    full = np.zeros((len(FOLDINGS), len(battles)))
    for name, families in LEFT_OUT.items():
        if families and options.only and name not in options.only:
            continue
        columns = stacked_columns(c for c in signal.columns() if c.family not in families)
        table = stacked_frame(frame, columns)
        found = np.array(
            [losses(Table(table, columns, outcomes, fold), blend=options.blend) for fold in folds]
        )
        row = f"| {name} | {len(columns)} | {found.mean():.4f} |"
        if not families:
            full = found
            print(f"{row} | | |", flush=True)
            continue
        worse = found - full
        gap = bootstrap_mean(worse.mean(0), outcomes.groups, 0)
        each = ", ".join(f"{value:+.4f}" for value in worse.mean(1))
        print(f"{row} {gap.value:+.4f} | {gap.low:+.4f} to {gap.high:+.4f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
