"""Loss by training battles: ``python -m pipelines.learning_curve --run RUN``.

Everything of a finished run that is trained within minutes is trained again on
nested parts of its battles. Signals that need an encoder take hours a part and
are left out, which the output says. Neither the run's bundle nor its figures
are touched.
"""

from __future__ import annotations

import tomllib
from typing import Any

import polars as pl
from pydantic import ValidationError

from featlab.battles import explained, read_battles
from featlab.errors import ConfigError
from featlab.features import BattleColumns
from featlab.files import atomic_path, file_fingerprint, read_json, write_json
from models.evaluation.learning_curve import (
    PREDICTOR,
    CurveData,
    Subset,
    describe_curve,
    measure_curve,
    planned_subsets,
)
from models.stacking.bundle import MANIFEST
from pipelines.features import training_file
from pipelines.learned_signals import CODE, signal_maker
from pipelines.run.console import progress, run_command, say
from pipelines.run.folder import RunFolder
from pipelines.run.presets import resolve
from pipelines.run.settings import LearningCurveSettings, TrainSettings
from pipelines.training_data import load_training_data, stacked_columns

SLOW = frozenset({"embedding", "encoder"})
"""Signals that the curve leaves out: one point would fine-tune or embed for hours."""

MODELS = (
    "models.stacking.blend",
    "models.evaluation.learning_curve",
    "models.evaluation.metrics",
    "models.stacking.out_of_fold",
    "models.evaluation.power_law",
    "models.stacking.scaled_columns",
    "models.stacking.trees",
    "models.stacking.table",
    "models.stacking.kernel",
    "models.stacking.vector_columns",
)


def main(settings: LearningCurveSettings) -> None:
    """Measure the curve where it is not there yet, and print it."""
    run = RunFolder(settings.run)
    trained = trained_settings(run)
    source = training_file(settings.data or trained.data)
    if file_fingerprint(source) != read_json(run.manifest)["stages"]["folds"]["inputs"]["battles"]:
        raise ConfigError(
            f"{source} holds other battles than {run.path} was trained on; name their folder "
            "with --data, or train again"
        )
    learned = list(read_json(run.bundle / MANIFEST)["signals"])
    signals = [name for name in learned if name not in SLOW]
    left_out = [name for name in learned if name in SLOW]
    if left_out:
        say(f"left out, since they take hours a point: {', '.join(left_out)}")
    if trained.extra:
        say("left out: the run's extra battles, since the curve is over its own")

    def make() -> None:
        columns = stacked_columns(BattleColumns(families=trained.families).parity)
        loaded = load_training_data(run, {"text": columns})
        schema = trained.battles.schema_of_battles()
        with explained(source, schema):
            battles = read_battles(source, schema, require_outcome=True).collect()
        recipe = resolve(trained.model_copy(update={"signals": signals}))
        makers = {name: signal_maker(name, trained, recipe, run) for name in signals}
        data = CurveData(battles, loaded.stacking, loaded.groups, makers)
        subsets = planned_subsets(data.fixed.fold_numbers, settings.shares, settings.draws)
        with progress("learning curve", len(subsets)) as advance:

            def on_subset(done: int, subset: Subset) -> None:
                advance(done, f"fold {subset.held_out}, {subset.share:.1%} of the rest")

            losses = measure_curve(data, subsets, trained.seed, on_subset)
        found = {
            "signals": ["text", *signals],
            "left_out": left_out,
            "extra_battles_left_out": trained.extra,
            "predictor": PREDICTOR,
            **describe_curve(losses, data.groups, trained.seed, settings.extrapolate_to),
        }
        with atomic_path(run.learning_curve.with_suffix(".csv")) as path:
            curve_table(found).write_csv(path)
        write_json(run.learning_curve, found)

    run.stage(
        "learning_curve",
        inputs={
            "battles": file_fingerprint(source),
            "folds": file_fingerprint(run.folds),
            "text": file_fingerprint(run.signal("text")),
            "learned": learned,
            "extra": trained.extra,
            "seed": trained.seed,
            "settings": settings.model_dump(
                mode="json", include={"shares", "draws", "extrapolate_to"}
            ),
        },
        outputs=[run.learning_curve, run.learning_curve.with_suffix(".csv")],
        code=(*MODELS, *(module for name in signals for module in CODE[name])),
        make=make,
    )
    print_curve(read_json(run.learning_curve))


def trained_settings(run: RunFolder) -> TrainSettings:
    """The settings a finished run was trained with.

    Raises
    ------
    ConfigError
        When the run is not finished, or its settings are not readable.
    """
    config = run.path / "config.toml"
    for path in (config, run.manifest, run.folds, run.signal("text"), run.bundle / MANIFEST):
        if not path.is_file():
            raise ConfigError(
                f"{run.path} is no finished run (no {path.relative_to(run.path)}); "
                "run make train-ensemble first"
            )
    try:
        values = tomllib.loads(config.read_text(encoding="utf-8"))
        return TrainSettings(**{**values, "run": run.path})
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"{config} is not as train-ensemble wrote it; train again") from error


def curve_table(found: dict[str, Any]) -> pl.DataFrame:
    """The measured points, then the power law's reading: ``kind, n, log_loss, low, high``."""
    law = found["power_law"]
    rows = [
        {"kind": "measured", **{name: point[name] for name in ("n", "log_loss", "low", "high")}}
        for point in found["points"]
    ]
    rows.append(
        {
            "kind": "extrapolated",
            "n": law["extrapolated_n"],
            "log_loss": law["extrapolated"],
            "low": law["low"],
            "high": law["high"],
        }
    )
    return pl.DataFrame(rows)


def print_curve(found: dict[str, Any]) -> None:
    """The curve as a table, and how far to trust its end."""
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
