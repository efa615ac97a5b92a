"""A finished run, read back for its report: battles, text signal, predictions, models."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
from models.stacking.kernel_files import load_kernel
from models.stacking.margin_sizes import with_margin_sizes
from numpy.typing import NDArray
from pydantic import ValidationError

from featlab.battles import (
    PROBABILITIES,
    BattleSchema,
    explained,
    joined_turns,
    read_battles,
)
from featlab.errors import BundleError, ConfigError
from featlab.features import BattleColumns
from featlab.files import file_fingerprint, read_json
from featlab.parity import Parity
from featlab.randomness import derive_seed
from models.analysis.bias import Verdicts
from models.analysis.effects import feature_effects
from models.analysis.importance import column_importance
from models.evaluation.metrics import Labels, Probabilities
from models.stacking.blend import mean_of_halves
from models.stacking.bundle import MANIFEST
from models.stacking.calibration import cross_fitted_temperature
from models.stacking.kernel import KernelStacker
from models.stacking.table import Matrix, StackingData
from models.stacking.trees import mean_over_orders, predict_both_orders
from pipelines.features import training_file
from pipelines.run.folder import RunFolder
from pipelines.run.settings import TrainSettings
from pipelines.training_data import load_training_data

EXPLAINED_ROWS = 1500
"""Battles whose predictions are explained, over all folds; more tell nothing new."""

_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class RunData:
    """Everything that figures are made of; rows are battles, in the order of the training file.

    Parameters
    ----------
    run : RunFolder
    settings : TrainSettings
        As the run was trained.
    source : Path
        The training file.
    battles : DataFrame
        ``id, label, model_a, model_b, language`` (null where the file has
        none) and what is odd about each battle; no texts.
    text : DataFrame
        The text signal, of every feature.
    calibrated : float64 array, shape (n, 3)
        Out-of-fold predictions at the cross-fitted temperature.
    verdicts : Verdicts
        Votes, and the out-of-fold predictions before calibration.
    stacking : StackingData
        What the stacker's models see.
    models : mapping of int to list of Booster
        Fold -> models that never saw it.
    metrics, manifest, bundle : dict
        ``metrics.json``, the run's and the bundle's ``manifest.json``.
    """

    run: RunFolder
    settings: TrainSettings
    source: Path
    battles: pl.DataFrame = field(repr=False)
    text: pl.DataFrame = field(repr=False)
    calibrated: Probabilities = field(repr=False)
    verdicts: Verdicts = field(repr=False)
    stacking: StackingData = field(repr=False)
    models: Mapping[int, list[lgb.Booster]] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    bundle: dict[str, Any] = field(repr=False)

    @property
    def schema(self) -> BattleSchema:
        """How the training file is read."""
        return self.settings.battles.schema_of_battles()

    @property
    def labels(self) -> Labels:
        """0, 1 or 2, shape (n,)."""
        return self.verdicts.labels

    @property
    def groups(self) -> NDArray[Any]:
        """Equal for battles of one prompt, shape (n,)."""
        return self.verdicts.groups

    @property
    def folds(self) -> NDArray[np.int64]:
        """0 to K - 1, shape (n,)."""
        return self.stacking.folds

    @cached_property
    def named(self) -> NDArray[np.bool_]:
        """Which battles name both models, shape (n,)."""
        known = self.battles["model_a"].is_not_null() & self.battles["model_b"].is_not_null()
        return known.to_numpy()

    @cached_property
    def effects(self) -> pl.DataFrame:
        """`models.analysis.effects.feature_effects` of every feature."""
        return feature_effects(self.text, self.labels, self.groups)

    @cached_property
    def explained_rows(self) -> dict[int, NDArray[np.int64]]:
        """Fold -> rows of it that are explained, drawn by the run's seed."""
        each = EXPLAINED_ROWS // len(self.models)
        generator = np.random.default_rng(derive_seed(self.settings.seed, "explained rows"))
        rows = {}
        for fold in self.models:
            own = np.flatnonzero(self.folds == fold)
            rows[fold] = np.sort(generator.choice(own, min(each, len(own)), replace=False))
        return rows

    @cached_property
    def explained(self) -> dict[int, tuple[Matrix, Matrix]]:
        """Fold -> the explained battles as given and exchanged."""
        given, swapped = self.stacking.both_orders
        return {fold: (given[rows], swapped[rows]) for fold, rows in self.explained_rows.items()}

    @property
    def first_models(self) -> dict[int, lgb.Booster]:
        """Fold -> the first of its models."""
        return {fold: boosters[0] for fold, boosters in self.models.items()}

    @cached_property
    def importance(self) -> pl.DataFrame:
        """`models.analysis.importance.column_importance` of the explained battles."""
        rows = {fold: given for fold, (given, _) in self.explained.items()}
        return column_importance(self.first_models, rows, self.stacking.columns)

    @cached_property
    def meaning(self) -> dict[str, tuple[str, str]]:
        """Column -> its feature and family; columns of learned signals are their own feature."""
        declared = {
            column.name: (column.feature, column.family) for column in BattleColumns().columns
        }
        learned: dict[str, tuple[str, str]] = {}
        for name in self.bundle["signals"]:
            present = pl.read_parquet_schema(self.run.signal(name))
            columns = with_margin_sizes(dict.fromkeys(present, Parity.EVEN))
            learned |= {column: (column, f"{name} signal") for column in columns}
        return {
            column: declared.get(column) or learned.get(column) or (column, "other")
            for column in self.stacking.columns
        }

    def texts_of(self, rows: list[int]) -> pl.DataFrame:
        """The canonical battles, texts included, of some rows, in their order."""
        wanted = pl.DataFrame({"row": rows}, schema={"row": pl.UInt32})
        battles = read_battles(self.source, self.schema).with_row_index("row")
        with explained(self.source, self.schema):
            found = battles.join(wanted.lazy(), on="row", how="semi").collect()
        return wanted.join(found, on="row", how="left", maintain_order="left")


def load_run(run: RunFolder, data: Path | None = None) -> RunData:
    """Read a finished run and the battles it was trained on.

    Parameters
    ----------
    run : RunFolder
    data : Path, optional
        The data folder, in place of the one in the run's ``config.toml``.

    Raises
    ------
    ConfigError
        When the run is not finished, or the battles are not its own.
    BundleError
        When the bundle does not predict what the run's out-of-fold file holds.
    """
    settings = _settings(run)
    source = training_file(data or settings.data)
    manifest, bundle = read_json(run.manifest), read_json(run.bundle / MANIFEST)
    trained_on = manifest["stages"]["folds"]["inputs"]["battles"]
    if file_fingerprint(source) != trained_on:
        raise ConfigError(
            f"{source} holds other battles than {run.path} was trained on; name their folder "
            "with --data, or train again"
        )
    parity = {name: Parity(kind) for name, kind in bundle["parity"].items()}
    stacking = _stacking(run, bundle, parity)
    models = _models(run, bundle, stacking.fold_numbers)
    one, other = _raw_predictions(stacking, models, load_kernel(run.bundle))
    mean = mean_over_orders(one, other)
    again = cross_fitted_temperature(mean, stacking.labels, stacking.folds)
    calibrated = pl.read_parquet(run.out_of_fold).select(PROBABILITIES).to_numpy()
    if not np.allclose(again, calibrated, atol=_SAME):
        raise BundleError(
            f"{run.bundle} predicts something else than {run.out_of_fold} holds; train again"
        )
    groups = pl.read_parquet(run.folds)["group"].to_numpy()
    schema = settings.battles.schema_of_battles()
    return RunData(
        run=run,
        settings=settings,
        source=source,
        battles=_battles(source, schema).with_columns(pl.Series("group", groups)),
        text=_text(run, source, schema),
        calibrated=calibrated,
        verdicts=Verdicts(stacking.labels, groups, one, other, mean),
        stacking=stacking,
        models=models,
        metrics=read_json(run.metrics),
        manifest=manifest,
        bundle=bundle,
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


def _stacking(run: RunFolder, bundle: dict[str, Any], parity: dict[str, Parity]) -> StackingData:
    signals: dict[str, dict[str, Parity]] = {}
    for name in ("text", *bundle["signals"]):
        present = pl.read_parquet_schema(run.signal(name))
        signals[name] = with_margin_sizes(
            {column: parity[column] for column in parity if column in present}
        )
    return load_training_data(run, signals).stacking.select(bundle["columns"])


def _models(
    run: RunFolder, bundle: dict[str, Any], folds: list[int]
) -> dict[int, list[lgb.Booster]]:
    """The bundle's boosters by the fold they were not trained on."""
    repeats = bundle["boosters"] // len(folds)
    return {
        fold: [
            lgb.Booster(
                model_str=(run.bundle / f"stacker/{index * repeats + repeat}.txt").read_text(
                    encoding="utf-8"
                )
            )
            for repeat in range(repeats)
        ]
        for index, fold in enumerate(folds)
    }


def _raw_predictions(
    data: StackingData, models: Mapping[int, list[lgb.Booster]], kernel: KernelStacker
) -> tuple[Probabilities, Probabilities]:
    """The blend's out-of-fold predictions of the battles as given, and of the exchanged ones."""
    given, swapped = data.both_orders
    one, other = np.zeros((len(data.labels), 3)), np.zeros((len(data.labels), 3))
    for (fold, boosters), near in zip(models.items(), kernel.models, strict=True):
        rows = np.flatnonzero(data.folds == fold)
        for booster in boosters:
            first, second = predict_both_orders(booster, given[rows], swapped[rows])
            one[rows] += first / len(boosters)
            other[rows] += second / len(boosters)
        half = near.predict(data.frame[rows])
        one[rows] = mean_of_halves(one[rows], half)
        other[rows] = mean_of_halves(other[rows], half[:, [1, 0, 2]])
    return one, other


def _battles(source: Path, schema: BattleSchema) -> pl.DataFrame:
    battles = read_battles(source, schema)
    present = battles.collect_schema().names()
    texts = {name: joined_turns(name) for name in ("prompt", "response_a", "response_b")}
    with explained(source, schema):
        return battles.select(
            "id",
            "label",
            *(
                pl.col(name) if name in present else pl.lit(None, pl.String).alias(name)
                for name in ("model_a", "model_b", "language")
            ),
            *(f"{name}__null" for name in texts),
            *((text.str.len_bytes() == 0).alias(f"{name}__empty") for name, text in texts.items()),
            (texts["response_a"] == texts["response_b"]).alias("identical"),
            pl.concat_str(texts.values(), separator="\x1e").hash().alias("content"),
            pl.col("prompt").list.len().alias("turns"),
        ).collect()


def _text(run: RunFolder, source: Path, schema: BattleSchema) -> pl.DataFrame:
    """Every feature's columns: from the run, or computed where it trained on some only."""
    columns = BattleColumns()
    if set(columns.names) <= set(pl.read_parquet_schema(run.signal("text"))):
        return pl.read_parquet(run.signal("text"))
    with explained(source, schema):
        return columns.compute(read_battles(source, schema)).collect(engine="streaming")
