"""A finished run, read back for its report: battles, text features, predictions, models.

Figures read a run through `RunData` alone; what its files and the ensemble's
parts look like is known here and nowhere else in the report.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from optuna.trial import TrialState
from sklearn.linear_model import LogisticRegression

from featlab.battles import joined_turns
from featlab.columns import Column
from featlab.errors import ConfigError, FileError
from featlab.features import BattleColumns
from featlab.files import file_fingerprint, read_json, value_fingerprint
from featlab.randomness import derive_seed
from models.analysis.attribution import Matrix, column_attribution
from models.analysis.differences import LENGTH, side_values
from models.analysis.effects import feature_effects
from models.analysis.model_card import TrainingSummary
from models.evaluation.intervals import Groups
from models.evaluation.metrics import evaluate
from models.lightgbm_alone import lgb
from models.probabilities import Labels, Probabilities, Rows
from models.stacking.blend import Blend
from models.stacking.bundle import read_boosters
from models.stacking.calibration import fit_temperature
from models.stacking.explain import LikeSides
from models.stacking.kernel import Kernel
from models.stacking.out_of_fold import load_fitted
from models.stacking.search import open_study
from models.stacking.table import Table
from models.stacking.trained_on import even_means
from models.stacking.trees import Trees, mean_over_orders, predict_both_orders
from pipelines.report.study import trials_of
from pipelines.run.finished import FinishedRun, finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.out_of_fold import read_out_of_fold, require_common_ids, three_outcomes
from pipelines.run.stages.blend import read_members
from pipelines.run.stages.kernel import KERNEL, read_kernel

ATTRIBUTED_ROWS = 1500
"""Battles whose predictions are attributed to columns, over all folds; more tell nothing new."""

REASONS = 7
"""Families that stand alone among the reasons of a battle."""

TEXTS = ("prompt", "response_a", "response_b")


@dataclass(frozen=True, eq=False, repr=False)
class RunData:
    """Everything that figures are made of; rows are battles, in the order of the training file.

    The `battles` have ``id, label, group, model_a, model_b, language`` (null
    where the file has none) and what is odd about each, `text` every feature of
    them, and `stages` what the manifest says of each. Predictions are out of
    fold: `calibrated` at the cross-fitted temperature; before it, `one_order` for
    the battles as given and `other_order`, in their own order of sides, for the
    exchanged ones. The trees read `columns` of the `table`; `blends` has for each
    fold what never saw it. `metrics` is ``metrics.json``, and `members`
    what it says of each member of the blend. `against` is the name of another run of
    the same battles, and its predictions.
    """

    path: Path
    training: TrainingSummary
    battles: pl.DataFrame
    text: pl.DataFrame
    calibrated: Probabilities
    one_order: Probabilities
    other_order: Probabilities
    table: Table
    columns: tuple[Column, ...]
    blends: Mapping[int, Blend]
    metrics: dict[str, Any]
    members: dict[str, Any]
    stages: Mapping[str, Any]
    _run: FinishedRun
    against: tuple[str, Probabilities] | None = None

    @property
    def labels(self) -> Labels:
        """0, 1 or 2, shape (n,)."""
        return self.table.labels

    @property
    def folds(self) -> Rows:
        """0 to K - 1, shape (n,)."""
        return self.table.folds

    @cached_property
    def length_only(self) -> dict[str, Any] | None:
        """What a logistic regression on the two lengths scores out of fold; None on few battles."""
        a, b = np.log1p(side_values(self.text, LENGTH))
        design, stated = np.column_stack([a - b, abs(a - b)]), np.zeros((len(a), 3))
        for fold in np.unique(self.folds):
            training, held = self.folds != fold, self.folds == fold
            if len(set(self.labels[training].tolist())) < 2:
                return None
            fitted = LogisticRegression().fit(design[training], self.labels[training])
            stated[np.ix_(held, fitted.classes_)] = fitted.predict_proba(design[held])
        return evaluate(stated, self.labels, self.groups, self.training.seed)

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

    def sample(self, name: str, count: int, *rows: NDArray[Any]) -> list[Rows]:
        """Draw at most so many of each array of rows, in order, by the run's seed and a name."""
        generator = np.random.default_rng(derive_seed(self.training.seed, name))
        drawn = (generator.choice(own, min(count, len(own)), replace=False) for own in rows)
        return [np.sort(own) for own in drawn]

    @property
    def models(self) -> dict[int, lgb.Booster]:
        """Fold -> a booster that never saw it."""
        return {fold: blend.trees.boosters[0] for fold, blend in self.blends.items()}

    def reasons(self, row: int) -> dict[str, float]:
        """Return few families -> what each adds to P(A) - P(B) out of fold, the strongest first."""
        fold = self.folds[row]
        others = self.folds != fold
        temperature = fit_temperature(self.both_orders[others], self.labels[others])
        like = LikeSides(self.table.columns, self._means, self.blends[fold], temperature)
        (values,) = self.table.frame[[row]].cast(pl.Float64).to_numpy()
        families = like.strongest(values, REASONS)
        margins = zip(families, like.effects(values, families)[:, 0].tolist(), strict=True)
        return dict(sorted(margins, key=lambda each: -abs(each[1])))

    @cached_property
    def _means(self) -> dict[str, float]:
        return even_means(self.table)

    @cached_property
    def attributed_rows(self) -> dict[int, Rows]:
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

    def fitted(self, signal: str) -> dict[int, Any]:
        """Return fold -> the signal fitted without it."""
        fitted = load_fitted(self._run.kinds[signal], self._run.folder.fitted(signal))
        return dict(zip(self.models, fitted, strict=True))

    @cached_property
    def effects(self) -> pl.DataFrame:
        """`models.analysis.effects.feature_effects` of the battles."""
        return feature_effects(self.text, self.labels, self.groups)

    @cached_property
    def trials(self) -> pl.DataFrame | None:
        """The finished and pruned trials of the search, as `trials_of` gives them."""
        files = self._run.folder
        if not files.journal.is_file():
            return None
        with TemporaryDirectory() as home:
            # A journal is opened for writing, which a run that may only be read does not allow.
            journal = Path(shutil.copy(files.journal, home))
            try:
                study = open_study(journal, read_json(files.search)["study"])
            except FileError:
                return None
            trials = study.get_trials(deepcopy=False)
        complete = any(trial.state is TrialState.COMPLETE for trial in trials)
        return trials_of(trials) if complete else None

    @cached_property
    def learning_curve(self) -> dict[str, Any] | None:
        """The measured points and the power law, as ``pipelines.learning_curve`` wrote them."""
        path = self._run.folder.learning_curve
        if not path.is_file():
            return None
        recorded = self.stages.get("learning_curve", {"outputs": {}})["outputs"].get(path.name)
        whole = recorded is None or recorded == file_fingerprint(path)
        return read_json(path) if whole else None

    def texts_of(self, rows: Sequence[int]) -> pl.DataFrame:
        """Return the canonical battles, texts included, of some rows, in their order."""
        return pl.read_parquet(self._run.folder.battles, glob=False)[list(rows)].insert_column(
            0, pl.Series("row", rows, pl.UInt32)
        )


def load_run(
    folder: RunFolder, trusted: Collection[str] = (), against: RunFolder | None = None
) -> RunData:
    """Read a finished run, and the predictions of another one to compare it with.

    Signals of the `trusted` modules outside this project may be imported.

    Raises
    ------
    ConfigError
        When a run is not finished, or a stage is older than what it is made from;
        when the other run is not of the same battles.
    """
    run = finished_run(folder, trusted)
    table, bundle, made = run.table(), run.bundle, run.manifest["stages"]
    members, metrics = read_members(folder.members), read_json(folder.metrics)
    folds = table.fold_numbers
    boosters = read_boosters(
        folder.bundle, bundle["boosters"], [column.name for column in table.scalars]
    )
    repeats, kernels = len(boosters) // len(folds), read_kernel(folder.fitted(KERNEL)).models
    inputs = made["battles"]["made_from"]["inputs"]
    return RunData(
        path=folder.path,
        training=TrainingSummary(
            source=_source(inputs, run.settings.data),
            fingerprint=_fingerprint(inputs),
            battles=len(table.labels),
            folds=len(folds),
            seed=run.settings.seed,
            signals=tuple(run.kinds),
            columns=len(bundle["columns"]),
            boosters=bundle["boosters"],
            temperature=bundle["temperature"],
            versions=bundle["versions"],
        ),
        battles=_battles(folder).with_columns(pl.read_parquet(folder.folds, glob=False)["group"]),
        text=_text(folder),
        calibrated=three_outcomes(read_out_of_fold(folder)),
        one_order=members.one_order,
        other_order=members.other_order,
        table=table,
        columns=table.scalars,
        blends={
            fold: Blend(
                Trees(table.scalars, boosters[index * repeats : (index + 1) * repeats]),
                Kernel([kernels[index]]),
            )
            for index, fold in enumerate(folds)
        },
        metrics=metrics,
        members=metrics["members"],
        stages=made,
        _run=run,
        against=None if against is None else _predictions_of(against, folder, trusted),
    )


def _source(inputs: Mapping[str, str], data: Path) -> str:
    """Return the training file's name, or what several were found by; they may be gone by now."""
    return Path(next(iter(inputs))).name if len(inputs) == 1 else data.name


def _fingerprint(inputs: Mapping[str, str]) -> str:
    """Return the training file's, or one of all files where there are several."""
    return next(iter(inputs.values())) if len(inputs) == 1 else value_fingerprint(dict(inputs))


def _predictions_of(
    other: RunFolder, own: RunFolder, trusted: Collection[str]
) -> tuple[str, Probabilities]:
    """Return the name of another run, and its predictions in the order of this one's battles."""
    finished_run(other, trusted)
    require_common_ids([own, other])
    found = (
        read_out_of_fold(own)
        .select("id", "label")
        .join(read_out_of_fold(other), on=["id", "label"], how="left", maintain_order="left")
    )
    stated = three_outcomes(found).astype(float)
    if np.isnan(stated).any():
        raise ConfigError(
            f"{other.path} was not trained on all battles of this run, with the same outcomes; "
            "compare runs of one training file"
        )
    return other.path.resolve().name, stated


def _battles(run: RunFolder) -> pl.DataFrame:
    battles = pl.scan_parquet(run.battles, glob=False)
    present = battles.collect_schema().names()
    texts = {name: joined_turns(name) for name in TEXTS}
    optional = ("model_a", "model_b", "language")
    return battles.select(
        "id",
        "label",
        *(name if name in present else pl.lit(None, pl.String).alias(name) for name in optional),
        *(f"{name}__null" for name in texts),
        *((text.str.len_bytes() == 0).alias(f"{name}__empty") for name, text in texts.items()),
        (texts["response_a"] == texts["response_b"]).alias("identical"),
        pl.concat_str(texts.values(), separator="\x1e").hash().alias("content"),
        pl.col("prompt").list.len().alias("turns"),
    ).collect()


def _text(run: RunFolder) -> pl.DataFrame:
    """Return every feature's columns: from the run, or computed where it trained on some only."""
    columns = BattleColumns()
    made = pl.scan_parquet(run.signal("text"), glob=False)
    if set(columns.names) <= set(made.collect_schema()):
        return made.collect()
    return columns.compute(pl.scan_parquet(run.battles, glob=False)).collect(engine="streaming")
