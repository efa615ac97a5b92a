"""Loss by training battles: ``python -m pipelines.learning_curve --run RUN``.

Everything of a finished run that is trained within minutes is trained again on
nested parts of its battles. Signals that need an encoder take hours a part and
are left out, which the output says. Neither the run's bundle nor its figures
are touched.
"""

from __future__ import annotations

from typing import Any

from featlab.files import read_json
from featlab.progress import note
from featlab.signals.signal import Need
from pipelines.run.console import run_command
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.presets import ALWAYS, context_of
from pipelines.run.run import open_run
from pipelines.run.settings import LearningCurveSettings
from pipelines.run.stages.curve import curve_table, make_curve
from pipelines.run.training import battle_files, table_files


def main(settings: LearningCurveSettings) -> None:
    """Measure the curve where it is not there yet, and print it."""
    run = finished_run(RunFolder(settings.run), settings.trust)
    files, trained = run.folder, run.settings
    slow = [name for name, kind in run.kinds.items() if Need.ENCODER in kind.needs]
    kinds = {name: kind for name, kind in run.kinds.items() if name not in {*slow, ALWAYS}}
    if slow:
        note(f"left out, since they take hours a point: {', '.join(slow)}")
    if trained.extra:
        note("left out: the run's extra battles, since the curve is over its own")
    columns = {ALWAYS: run.columns(ALWAYS)}
    context = context_of(trained)
    unfitted = [kind.from_settings(context, 0) for kind in kinds.values()]
    points = files.learning_curve.with_suffix(".csv")
    with open_run(settings.run) as opened:
        opened.stage(
            "learning_curve",
            make_curve,
            inputs={"table": table_files(files, battle_files(files, extra=False), [ALWAYS])},
            outputs={"curve": files.learning_curve, "points": points},
            key={
                "signals": [signal.recipe() for signal in unfitted],
                "seed": trained.seed,
                "settings": [settings.shares, settings.draws, settings.extrapolate_to],
            },
            code=list(kinds.values()),
            signals=columns,
            kinds=kinds,
            context=context,
            shares=settings.shares,
            draws=settings.draws,
            extrapolate_to=settings.extrapolate_to,
            seed=trained.seed,
            about={"left_out": slow, "extra_battles_left_out": trained.extra},
        )
    print_curve(read_json(files.learning_curve))


def print_curve(found: dict[str, Any]) -> None:
    """Print the curve as a table, and how far to trust its end."""
    law = found["power_law"]
    print(f"signals: {', '.join(found['signals'])}; {found['predictor']}")
    if found["left_out"]:
        print(f"left out: {', '.join(found['left_out'])}")
    print(f"{'':<14}{'battles':>8}  log loss  95 % interval")
    for row in curve_table(found).iter_rows(named=True):
        interval = f"{row['low']:.4f} to {row['high']:.4f}"
        print(f"{row['kind']:<14}{row['n']:>8,}  {row['log_loss']:.4f}    {interval}")
    print(
        f"power law: {law['asymptote']:.3f} ({law['asymptote_low']:.3f} to "
        f"{law['asymptote_high']:.3f}) + {law['scale']:.3g} * n ** -{law['exponent']:.2f} "
        f"({law['exponent_low']:.2f} to {law['exponent_high']:.2f}); in {law['at_bounds']:.0%} "
        "of the resamples a bound and not the points set a parameter"
    )
    if law["at_bound"]:
        print(
            "the fitted law itself lies at a bound: these sizes do not tell where the loss "
            "levels off, and another bound would extrapolate to another loss"
        )
    print(law["note"])


if __name__ == "__main__":
    run_command(main, LearningCurveSettings, "python -m pipelines.learning_curve")
