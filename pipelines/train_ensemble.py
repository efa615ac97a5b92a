"""Train the ensemble: ``python -m pipelines.train_ensemble``.

Signals, folds, search, the blend's fold models, temperature, bundle, metrics: each
stage is made once and kept while nothing it depends on changes.
"""

from __future__ import annotations

import polars as pl
import tomli_w

from featlab.battles import PROBABILITIES
from featlab.files import (
    atomic_path,
    file_fingerprint,
    read_json,
    value_fingerprint,
    write_json,
)
from models.evaluation.metrics import Probabilities
from models.stacking.blend import fit_blend
from models.stacking.bundle import MANIFEST, PROBE, save_bundle
from models.stacking.calibration import cross_fitted_temperature, fit_temperature
from models.stacking.kernel import KernelOutOfFold, fit_kernel_stacker
from models.stacking.predictor import Ensemble
from models.stacking.search import SearchResult, open_study, search
from pipelines.ensemble_figures import measure_ensemble, print_summary
from pipelines.extra_battles import extra_inputs
from pipelines.features import compute_text_signal
from pipelines.learned_signals import compute_learned_signal, load_fitted
from pipelines.report.study import draw_study
from pipelines.run.console import progress, run_command, say
from pipelines.run.folder import RunFolder
from pipelines.run.presets import resolve
from pipelines.run.settings import TrainSettings
from pipelines.time_estimate import estimate_run
from pipelines.training_data import (
    TrainingData,
    load_training_data,
    models_are_named,
    stacked_columns,
    write_extra,
    write_folds,
)

CODE = ("featlab", "models", "pipelines")

PROBE_TOLERANCE = {"text": 1e-6, "encoder": 0.02}
"""How far predictions may lie off on another machine; an encoder's arithmetic differs there."""


def main(settings: TrainSettings) -> None:
    """Run every stage that is not up to date, and print what came out."""
    run = RunFolder(settings.run)
    write_config(settings, run)
    text = compute_text_signal(settings)
    write_folds(settings)
    recipe = resolve(settings)
    if settings.signals is None:
        recipe = recipe.for_battles(named=models_are_named(settings))
    say(f"preset {recipe.preset}, {recipe.reason}; signals: {', '.join(recipe.signals)}")
    if settings.dry_run:
        estimate_run(settings, recipe)
        return
    write_extra(settings, text)
    signals = {"text": stacked_columns(text.parity)}
    learned = [name for name in recipe.signals if name != "text"]
    for name in learned:
        signals[name] = stacked_columns(compute_learned_signal(name, settings, recipe))
    inputs = {
        "signals": {name: file_fingerprint(run.signal(name)) for name in signals},
        "extra": extra_inputs(settings),
        "folds": file_fingerprint(run.folds),
        "settings": settings.model_dump(
            mode="json", include={"seed", "trials", "repeats", "fold_repeats", "folds"}
        ),
        "battles": repr(settings.battles.schema_of_battles()),
    }

    def train() -> None:
        data = load_training_data(run, signals)
        say("kernel half: fitting")
        kernel = fit_kernel_stacker(data.stacking, settings.seed)
        found = run_search(settings, run, data, kernel[1])
        blend, prediction = fit_blend(
            data.stacking, found.parameters, settings.seed, settings.repeats, kernel
        )
        labels, folds = data.stacking.labels, data.stacking.folds
        calibrated = cross_fitted_temperature(prediction.blend.probabilities, labels, folds)
        temperature = fit_temperature(prediction.blend.probabilities, labels)
        save_bundle(
            Ensemble(text, {name: load_fitted(name, run) for name in learned}, blend, temperature),
            settings.battles.schema_of_battles(),
            run.bundle,
            tolerance=PROBE_TOLERANCE["encoder" if recipe.encoder else "text"],
        )
        write_out_of_fold(run, data, calibrated)
        figures = measure_ensemble(settings, data, prediction, found)
        write_json(run.metrics, figures)

    run.stage(
        "ensemble",
        inputs=inputs,
        outputs=[
            run.out_of_fold,
            run.metrics,
            run.bundle / MANIFEST,
            run.bundle / PROBE,
            run.report / "study.png",
        ],
        code=CODE,
        make=train,
    )
    print_summary(read_json(run.metrics))


def write_config(settings: TrainSettings, run: RunFolder) -> None:
    """The settings as resolved, in the form that ``--config`` reads."""
    resolved = settings.model_dump(mode="json", exclude_none=True, exclude={"config"})
    with atomic_path(run.path / "config.toml") as path:
        path.write_text(tomli_w.dumps(resolved), encoding="utf-8")


def run_search(
    settings: TrainSettings, run: RunFolder, data: TrainingData, kernel: KernelOutOfFold
) -> SearchResult:
    """Search the stacker's parameters, going on from an interrupted study of the same data."""
    name = "-".join(
        [
            "blend",
            file_fingerprint(run.folds)[:12],
            *(file_fingerprint(run.signal(signal))[:12] for signal in data.signals),
            *(
                [value_fingerprint(extra_inputs(settings))[:12]]
                if data.stacking.extra is not None
                else []
            ),
            f"seed{settings.seed}",
        ]
    )
    study = open_study(run.journal, name)
    say(f"study {name} in {run.journal}; watch it with: optuna-dashboard {run.journal}")
    with progress("search", settings.trials) as advance:
        found = search(
            data.stacking,
            study,
            settings.trials,
            settings.seed,
            lambda done, best: advance(done, f"best {best:.4f}"),
            kernel=kernel,
        )
    draw_study(study, run.report / "study.png")
    return found


def write_out_of_fold(run: RunFolder, data: TrainingData, calibrated: Probabilities) -> None:
    """``oof.parquet``: id, the three probabilities, fold and label."""
    columns = {name: calibrated[:, index] for index, name in enumerate(PROBABILITIES)}
    frame = pl.DataFrame({"id": data.ids, **columns}).with_columns(
        pl.Series("fold", data.stacking.folds, pl.Int8),
        pl.Series("label", data.stacking.labels, pl.Int8),
    )
    with atomic_path(run.out_of_fold) as path:
        frame.write_parquet(path)


if __name__ == "__main__":
    run_command(main, TrainSettings, "python -m pipelines.train_ensemble")
