"""A finished run, read back for its report: battles, text features, predictions, models.

Figures read a run through `RunData` alone; what its files and the ensemble's
parts look like is known here and nowhere else in the report.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import polars as pl
from numpy.typing import NDArray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pydantic import ValidationError

from featlab.battles import PROBABILITIES, BattleSchema, explained, joined_turns, read_battles
from featlab.columns import Column, parities
from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError, ConfigError
from featlab.features import BattleColumns
from featlab.files import file_fingerprint, read_json
from featlab.parity import Parity
from featlab.randomness import derive_seed
from models.analysis.attribution import Matrix, column_attribution
from models.analysis.model_card import TrainingSummary
from models.evaluation.intervals import Groups
from models.evaluation.metrics import Labels, Probabilities
from models.stacking.blend import mean_of_halves
from models.stacking.bundle import MANIFEST
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.kernel import KernelStacker, fit_kernel_stacker
from models.stacking.kernel_files import load_kernel
from models.stacking.margin_sizes import with_margin_sizes
from models.stacking.table import StackingData
from models.stacking.trees import mean_over_orders, predict_both_orders
from pipelines.features import training_file
from pipelines.learned_signals import load_fitted
from pipelines.report.study import trials_of
from pipelines.run.folder import RunFolder
from pipelines.run.presets import resolve
from pipelines.run.settings import TrainSettings
from pipelines.training_data import load_training_data

ATTRIBUTED_ROWS = 1500
"""Battles whose predictions are attributed to columns, over all folds; more tell nothing new."""

TEXTS = ("prompt", "response_a", "response_b")

EVEN = Parity.EVEN

_SAME = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class RunData:
    """Everything that figures are made of; rows are battles, in the order of the training file.

    The `battles` have ``id, label, group, model_a, model_b, language`` (null
    where the file has none) and what is odd about each, `text` every feature of
    them, and `stages` ``stage, seconds, peak_memory_mb``. Predictions are out of
    fold: `calibrated` at the cross-fitted temperature; before it, `one_order` for
    the battles as given and `other_order`, in their own order of sides, for the
    exchanged ones. The trees read `columns` of the `table`; `models` has for each
    fold a booster that never saw it. `metrics` is ``metrics.json``, and `members`
    what it says of each member of the blend.
    """

    path: Path
    training: TrainingSummary
    battles: pl.DataFrame
    text: pl.DataFrame
    calibrated: Probabilities
    one_order: Probabilities
    other_order: Probabilities
    table: StackingData
    columns: tuple[Column, ...]
    models: Mapping[int, lgb.Booster]
    encoder: EncoderSpec | None
    metrics: dict[str, Any]
    members: dict[str, Any]
    stages: pl.DataFrame
    _run: RunFolder
    _source: Path
    _schema: BattleSchema

    @property
    def labels(self) -> Labels:
        """0, 1 or 2, shape (n,)."""
        return self.table.labels

    @property
    def folds(self) -> NDArray[np.int64]:
        """0 to K - 1, shape (n,)."""
        return self.table.folds

    @property
    def rows(self) -> tuple[Matrix, Matrix]:
        """The battles in `columns`, as given and exchanged."""
        return self.table.both_orders

    @cached_property
    def groups(self) -> Groups:
        """Equal for battles of one prompt, shape (n,)."""
        return self.battles["group"].to_numpy()

    @property
    def both_orders(self) -> Probabilities:
        """Predictions before calibration, the same for both orders, shape (n, 3)."""
        return mean_over_orders(self.one_order, self.other_order)

    @cached_property
    def named(self) -> NDArray[np.bool_]:
        """Which battles name both models, shape (n,)."""
        known = self.battles["model_a"].is_not_null() & self.battles["model_b"].is_not_null()
        return known.to_numpy()

    def sample(self, name: str, count: int, *rows: NDArray[Any]) -> list[NDArray[np.int64]]:
        """Draw at most so many of each array of rows, in order, by the run's seed and a name."""
        generator = np.random.default_rng(derive_seed(self.training.seed, name))
        drawn = (generator.choice(own, min(count, len(own)), replace=False) for own in rows)
        return [np.sort(own) for own in drawn]

    @cached_property
    def attributed_rows(self) -> dict[int, NDArray[np.int64]]:
        """Fold -> rows of it whose predictions are attributed."""
        each = ATTRIBUTED_ROWS // len(self.models)
        own = [np.flatnonzero(self.folds == fold) for fold in self.models]
        return dict(zip(self.models, self.sample("explained rows", each, *own), strict=True))

    @cached_property
    def attribution(self) -> pl.DataFrame:
        """`models.analysis.attribution.column_attribution` of the attributed rows."""
        rows = {fold: self.rows[0][rows] for fold, rows in self.attributed_rows.items()}
        return column_attribution(self.models, rows, [column.name for column in self.columns])

    @property
    def tree_predictions(self) -> list[Callable[[Matrix, Matrix], Probabilities]]:
        """What predicts by the trees of each fold from battles as given and exchanged."""
        return [
            lambda given, swapped, model=model: mean_over_orders(  # type: ignore[misc]
                *predict_both_orders(model, given, swapped)
            )
            for model in self.models.values()
        ]

    def kernel_predictions(
        self, frame: pl.DataFrame, columns: Sequence[Column], rows: NDArray[np.int64]
    ) -> Probabilities:
        """Return out-of-fold predictions of a kernel regression on columns of some battles."""
        table = StackingData(frame, parities(columns), self.labels[rows], self.folds[rows])
        return fit_kernel_stacker(table, self.training.seed)[1].probabilities

    def fitted(self, signal: str) -> dict[int, Any]:
        """Return fold -> the signal fitted without it."""
        return dict(zip(self.models, load_fitted(signal, self._run), strict=True))

    def signal_columns(self, signal: str) -> tuple[pl.DataFrame, list[Column]]:
        """Return a signal's out-of-fold columns as they were made."""
        frame = pl.read_parquet(self._run.signal(signal)).drop("id")
        parity = _parity(read_json(self._run.bundle / MANIFEST))
        columns = [Column(name, parity[name], signal, name) for name in frame.columns]
        return frame, columns

    @cached_property
    def trials(self) -> pl.DataFrame | None:
        """The finished and pruned trials of the search, as `trials_of` gives them."""
        if not self._run.journal.is_file():
            return None
        # The journal keeps every study of the run; the last one made the bundle.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(self._run.journal)))
        study = max(storage.get_all_studies(), key=lambda frozen: frozen._study_id)
        return trials_of(storage.get_all_trials(study._study_id, deepcopy=False))

    @cached_property
    def learning_curve(self) -> dict[str, Any] | None:
        """The measured points and the power law, where ``pipelines.learning_curve`` was run."""
        return read_json(path) if (path := self._run.learning_curve).is_file() else None

    def texts_of(self, rows: Sequence[int]) -> pl.DataFrame:
        """Return the canonical battles, texts included, of some rows, in their order."""
        wanted = pl.DataFrame({"row": rows}, schema={"row": pl.UInt32})
        battles = read_battles(self._source, self._schema).with_row_index("row")
        with explained(self._source, self._schema):
            found = battles.join(wanted.lazy(), on="row", how="semi").collect()
        return wanted.join(found, on="row", how="left", maintain_order="left")


def load_run(run: RunFolder, data: Path | None = None) -> RunData:
    """Read a finished run and the battles it was trained on, from `data` where they have moved.

    Raises
    ------
    ConfigError
        When the run is not finished, or the battles are not its own.
    BundleError
        When the bundle does not predict what the run's out-of-fold file holds.
    """
    settings = _settings(run)
    source = training_file(data or settings.data)
    schema = settings.battles.schema_of_battles()
    manifest, bundle = read_json(run.manifest), read_json(run.bundle / MANIFEST)
    fingerprint = manifest["stages"]["folds"]["inputs"]["battles"]
    if file_fingerprint(source) != fingerprint:
        raise ConfigError(
            f"{source} holds other battles than {run.path} was trained on; name their folder "
            "with --data, or train again"
        )
    table = _table(run, bundle)
    models = _models(run, bundle, table.fold_numbers)
    one, other = _raw_predictions(table, models, load_kernel(run.bundle))
    again = cross_fitted_temperature(mean_over_orders(one, other), table.labels, table.folds)
    calibrated = pl.read_parquet(run.out_of_fold).select(PROBABILITIES).to_numpy()
    if not np.allclose(again, calibrated, atol=_SAME):
        raise BundleError(
            f"{run.bundle} predicts something else than {run.out_of_fold} holds; train again"
        )
    metrics = read_json(run.metrics)
    signals = ("text", *bundle["signals"])
    return RunData(
        path=run.path,
        training=TrainingSummary(
            source=source.name,
            fingerprint=fingerprint,
            battles=len(table.labels),
            folds=len(models),
            seed=settings.seed,
            signals=signals,
            columns=len(bundle["columns"]),
            boosters=bundle["boosters"],
            temperature=bundle["temperature"],
            versions=bundle["versions"],
        ),
        battles=_battles(source, schema).with_columns(pl.read_parquet(run.folds)["group"]),
        text=_text(run, source, schema),
        calibrated=calibrated,
        one_order=one,
        other_order=other,
        table=table,
        columns=_columns(run, signals, table),
        models={fold: boosters[0] for fold, boosters in models.items()},
        encoder=resolve(settings).encoder,
        metrics=metrics,
        members=metrics["halves"],
        stages=_stages(manifest),
        _run=run,
        _source=source,
        _schema=schema,
    )


def _settings(run: RunFolder) -> TrainSettings:
    for path in (run.path / "config.toml", run.manifest, run.metrics, run.bundle / MANIFEST):
        if not path.is_file():
            raise ConfigError(
                f"{run.path} is no finished run (no {path.relative_to(run.path)}); "
                "run make train-ensemble first"
            )
    try:
        values = tomllib.loads((run.path / "config.toml").read_text(encoding="utf-8"))
        return TrainSettings(**{**values, "run": run.path})
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(
            f"{run.path / 'config.toml'} is not as train-ensemble wrote it; train again"
        ) from error


def _stages(manifest: Mapping[str, Any]) -> pl.DataFrame:
    stages = manifest["stages"].items()
    rows = [(name, stage["seconds"], stage.get("peak_memory_mb")) for name, stage in stages]
    names = ["stage", "seconds", "peak_memory_mb"]
    return pl.DataFrame(rows, names, orient="row", infer_schema_length=None)


def _parity(bundle: Mapping[str, Any]) -> dict[str, Parity]:
    return with_margin_sizes({name: Parity(kind) for name, kind in bundle["parity"].items()})


def _table(run: RunFolder, bundle: Mapping[str, Any]) -> StackingData:
    parity, signals = _parity(bundle), {}
    for name in ("text", *bundle["signals"]):
        present = with_margin_sizes(dict.fromkeys(pl.read_parquet_schema(run.signal(name)), EVEN))
        signals[name] = {column: parity[column] for column in parity if column in present}
    return load_training_data(run, signals).stacking.select(bundle["columns"])


def _columns(run: RunFolder, signals: Sequence[str], table: StackingData) -> tuple[Column, ...]:
    """Return the trees' columns; those of learned signals are their own features."""
    about = {column.name: (column.family, column.feature) for column in BattleColumns().columns}
    for signal in signals[1:]:
        present = with_margin_sizes(dict.fromkeys(pl.read_parquet_schema(run.signal(signal)), EVEN))
        about |= {name: (f"{signal} signal", name) for name in present}
    return tuple(
        Column(name, table.parity[name], about[name][0], name, feature=about[name][1])
        for name in table.columns
    )


def _models(
    run: RunFolder, bundle: Mapping[str, Any], folds: list[int]
) -> dict[int, list[lgb.Booster]]:
    """Read the bundle's boosters by the fold they were not trained on."""
    repeats = bundle["boosters"] // len(folds)
    paths = [run.bundle / f"stacker/{index}.txt" for index in range(bundle["boosters"])]
    boosters = [lgb.Booster(model_str=path.read_text(encoding="utf-8")) for path in paths]
    return {
        fold: boosters[index * repeats : (index + 1) * repeats] for index, fold in enumerate(folds)
    }


def _raw_predictions(
    table: StackingData, models: Mapping[int, list[lgb.Booster]], kernel: KernelStacker
) -> tuple[Probabilities, Probabilities]:
    """Predict the battles out of fold as given, and exchanged."""
    given, swapped = table.both_orders
    one, other = np.zeros((len(table.labels), 3)), np.zeros((len(table.labels), 3))
    for (fold, boosters), near in zip(models.items(), kernel.models, strict=True):
        rows = np.flatnonzero(table.folds == fold)
        for booster in boosters:
            first, second = predict_both_orders(booster, given[rows], swapped[rows])
            one[rows] += first / len(boosters)
            other[rows] += second / len(boosters)
        smooth = near.predict(table.frame[rows])
        one[rows] = mean_of_halves(one[rows], smooth)
        other[rows] = mean_of_halves(other[rows], smooth[:, [1, 0, 2]])
    return one, other


def _battles(source: Path, schema: BattleSchema) -> pl.DataFrame:
    battles = read_battles(source, schema)
    present = battles.collect_schema().names()
    texts = {name: joined_turns(name) for name in TEXTS}
    optional = ("model_a", "model_b", "language")
    with explained(source, schema):
        return battles.select(
            "id",
            "label",
            *(
                name if name in present else pl.lit(None, pl.String).alias(name)
                for name in optional
            ),
            *(f"{name}__null" for name in texts),
            *((text.str.len_bytes() == 0).alias(f"{name}__empty") for name, text in texts.items()),
            (texts["response_a"] == texts["response_b"]).alias("identical"),
            pl.concat_str(texts.values(), separator="\x1e").hash().alias("content"),
            pl.col("prompt").list.len().alias("turns"),
        ).collect()


def _text(run: RunFolder, source: Path, schema: BattleSchema) -> pl.DataFrame:
    """Return every feature's columns: from the run, or computed where it trained on some only."""
    columns = BattleColumns()
    if set(columns.names) <= set(pl.read_parquet_schema(run.signal("text"))):
        return pl.read_parquet(run.signal("text"))
    with explained(source, schema):
        return columns.compute(read_battles(source, schema)).collect(engine="streaming")
