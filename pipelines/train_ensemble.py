"""Train the ensemble: ``python -m pipelines.train_ensemble``.

Battles, folds, signals, kernel, search, blend, metrics: each stage is made once
and kept while nothing it depends on changes.
"""

from __future__ import annotations

import shlex
from typing import Any

import polars as pl

from featlab.battles import BattleSchema, ExtraFile, files_at
from featlab.errors import ConfigError
from featlab.files import read_json
from featlab.progress import note
from featlab.signals.signal import Cost
from pipelines.features import read_once, training_file
from pipelines.run.battle_files import BattleFiles
from pipelines.run.budget import Budget
from pipelines.run.changes import changed, flat, read_config
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.given_files import say_what_they_know
from pipelines.run.presets import Recipe, resolve
from pipelines.run.run import Run, open_run
from pipelines.run.settings import TrainSettings
from pipelines.run.stages.blend import make_blend
from pipelines.run.stages.extra import make_extra
from pipelines.run.stages.folds import write_folds
from pipelines.run.stages.kernel import make_kernel
from pipelines.run.stages.metrics import make_metrics
from pipelines.run.stages.search import make_search
from pipelines.run.stages.signal import make_signal
from pipelines.run.stages.study import make_study_figure
from pipelines.run.training import battle_files, table_files
from pipelines.time_estimate import estimate_run

SEARCH_SHARE, BLEND_SHARE = 0.5, 0.6
"""Of the time that a budget has left, for the search and then for the blend."""

FEWEST_BATTLES = 50
"""Training battles below which no figure is shown."""


def main(settings: TrainSettings) -> None:
    """Train, and say what a person may want to do next."""
    if train(settings):
        print(next_commands(settings))


def train(settings: TrainSettings) -> bool:
    """Run every stage that is not up to date, and print what came out; whether anything did."""
    budget = Budget.starting_now(settings.budget)
    recipe, source = resolve(settings), training_file(settings.data)
    extra = [ExtraFile.parse(given) for given in settings.extra]
    for file in extra:
        files_at(file.path)
    with open_run(settings.run, settings.as_toml()) as run:
        say_what_changed(settings)
        files = run.folder
        schema = read_once(run, source, settings)
        if settings.signals is None:
            recipe = recipe.for_battles(named=names_models(files))
        note(f"preset {recipe.preset}, {recipe.reason}; signals: {', '.join(recipe.kinds)}")
        run.stage(
            "folds",
            write_folds,
            inputs={"battles": files.battles},
            outputs={"folds": files.folds},
            count=settings.folds,
            seed=settings.seed,
        )
        if extra:
            run.stage(
                "extra",
                make_extra,
                inputs={"battles": files.battles, "sources": [file.path for file in extra]},
                outputs={"extra": files.extra},
                weights=[file.weight for file in extra],
                schema=schema if settings.battles.by_hand else None,
                folds=settings.folds,
                seed=settings.seed,
            )
        training = battle_files(files, extra=bool(extra))
        if settings.dry_run:
            estimate_run(files, recipe, training)
            return False
        say_what_they_know(settings.given, files.folds)
        for name in recipe.kinds:
            learn_signal(run, recipe, name, training)
        stack(run, recipe, training, settings, schema, budget)
        run.finish()
    battles = len(pl.read_parquet(files.folds, columns=["fold"]))
    if battles < FEWEST_BATTLES:
        note(f"{battles} battles are too few for figures; {FEWEST_BATTLES} are the least")
        return False
    print_summary(read_json(files.metrics), battles)
    return True


def say_what_changed(settings: TrainSettings) -> None:
    """Say which settings differ from those that the run folder was made with."""
    run = RunFolder(settings.run)
    if not run.config.is_file():
        return
    try:
        known = read_config(run)
    except ConfigError as error:
        note(f"{error}; it is written anew")
        return
    for line in changed(known, flat(settings.as_toml()), "setting"):
        note(f"since the last time in {run.path}: {line}")


def next_commands(settings: TrainSettings) -> str:
    """Return what a person may want to do with a trained run."""
    program = ".venv/bin/python -m pipelines"
    run = shlex.quote(str(settings.run))
    trust = f" --trust {shlex.quote(str(settings.features))}" if settings.features else ""
    return "\n".join(
        [
            "next:",
            f"  make report RUN={run}",
            f"  {program}.predict --run {run}{trust} --prompt P --response-a A --response-b B",
            f"  {program}.explain --run {run}{trust} --prompt P --response-a A --response-b B",
            f"  {program}.submit --run {run}{trust} --test data/test.csv --out submission.csv",
        ]
    )


def names_models(files: RunFolder) -> bool:
    """Return whether some training battle names both of its models."""
    battles = pl.scan_parquet(files.battles)
    if not {"model_a", "model_b"} <= set(battles.collect_schema()):
        return False
    named = pl.col("model_a").is_not_null() & pl.col("model_b").is_not_null()
    return bool(battles.select(named.any()).collect().item())


def learn_signal(run: Run, recipe: Recipe, name: str, training: BattleFiles) -> None:
    """Make the columns and the states of one signal."""
    files, kind = run.folder, recipe.kinds[name]
    context = recipe.context_of(name, files)
    extra_columns = None if training.extra is None else files.extra_signal(name)
    run.stage(
        name,
        make_signal,
        inputs={
            "battles": training.battles,
            "extra": training.extra,
            "folds": None if kind.cost is Cost.NOTHING else training.folds,
        },
        outputs={
            "columns": files.signal(name),
            "extra_columns": extra_columns,
            "fitted": files.fitted(name),
        },
        key=kind.from_settings(context, 0).recipe(),
        code=[kind],
        kind=kind,
        context=context,
    )


def stack(
    run: Run,
    recipe: Recipe,
    training: BattleFiles,
    settings: TrainSettings,
    schema: BattleSchema,
    budget: Budget,
) -> None:
    """Fit the members on the signals, and measure what they are worth."""
    files, seed = run.folder, settings.seed
    columns = {name: recipe.columns(name) for name in recipe.kinds}
    key: dict[str, Any] = {
        "columns": [
            (column.name, column.parity, column.kind)
            for group in columns.values()
            for column in group
        ],
        "seed": seed,
    }
    table = table_files(files, training, columns)
    run.stage(
        "kernel",
        make_kernel,
        inputs={"table": table},
        outputs={"fitted": files.fitted("kernel"), "predicted": files.kernel},
        key=key,
        signals=columns,
        seed=seed,
    )
    run.stage(
        "search",
        make_search,
        inputs={"table": table, "kernel": files.kernel},
        outputs={"found": files.search},
        key={**key, "trials": settings.trials, "budget": settings.budget},
        journal=files.journal,
        signals=columns,
        trials=settings.trials,
        deadline=budget.after(SEARCH_SHARE),
        seed=seed,
    )
    run.stage(
        "study",
        make_study_figure,
        inputs={"found": files.search},
        outputs={"figure": files.report / "study.png"},
        key={},
        journal=files.journal,
    )
    run.stage(
        "blend",
        make_blend,
        inputs={
            "table": table,
            "fitted": {name: files.fitted(name) for name in columns},
            "kernel": files.fitted("kernel"),
            "kernel_predicted": files.kernel,
            "found": files.search,
        },
        outputs={
            "bundle": files.bundle,
            "members": files.members,
            "out_of_fold": files.out_of_fold,
        },
        key={
            **key,
            "repeats": settings.repeats,
            "budget": settings.budget,
            "schema": schema.to_dict(),
        },
        code=list(recipe.kinds.values()),
        signals=columns,
        kinds=recipe.kinds,
        schema=schema,
        repeats=settings.repeats,
        deadline=budget.after(BLEND_SHARE),
        seed=seed,
    )
    run.stage(
        "metrics",
        make_metrics,
        inputs={"table": table, "members": files.members, "found": files.search},
        outputs={"metrics": files.metrics},
        key={**key, "other_foldings": settings.fold_repeats, "budget": settings.budget},
        signals=columns,
        other_foldings=settings.fold_repeats,
        deadline=budget.end,
        seed=seed,
    )


def print_summary(metrics: dict[str, Any], battles: int) -> None:
    """Print the numbers that a person looks for first."""
    if (measured := metrics["signals_measured_on"]) < battles:
        note(f"what signals are worth is measured on {measured:,} of {battles:,} battles")
    rows = [("prior", metrics["prior"]["log_loss"])]
    rows += [
        (f"{name} alone", signal["after_calibration"]["log_loss"])
        for name, signal in metrics["signals"].items()
    ]
    rows.append(("ensemble", metrics["ensemble"]["after_calibration"]["log_loss"]))
    print(f"{'out of fold, calibrated':<28}log loss  95 % interval")
    for name, loss in rows:
        print(f"{name:<28}{loss['value']:.4f}    {loss['low']:.4f} to {loss['high']:.4f}")
    for name, without in metrics["without"].items():
        gain = without["gain"]
        print(
            f"{name + ' adds':<28}{gain['value']:+.4f}   {gain['low']:+.4f} to {gain['high']:+.4f}"
        )
    print(f"{'optimism of the search':<28}{metrics['search']['selection_optimism']:+.4f}")


if __name__ == "__main__":
    run_command(main, TrainSettings, "python -m pipelines.train_ensemble")
