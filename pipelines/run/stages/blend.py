"""The blend: its trees with the best parameters, the temperature, and the bundle that predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.battles import OUTCOMES, PROBABILITIES, BattleSchema
from featlab.columns import Column
from featlab.files import atomic_path
from featlab.progress import note
from featlab.signals.signal import Signal
from models.stacking.blend import BlendOutOfFold, fit_blend
from models.stacking.bundle import save_bundle
from models.stacking.calibration import cross_fitted_temperature, fit_temperature
from models.stacking.out_of_fold import load_fitted
from models.stacking.predictor import Predictor
from models.stacking.trained_on import TrainedOn
from models.stacking.trees import TreesOutOfFold
from pipelines.run.stages.kernel import read_kernel, read_kernel_out_of_fold
from pipelines.run.stages.search import read_search
from pipelines.run.training import TableFiles, read_table

_PARTS = ("trees", "trees_exchanged", "kernel")
_OFFSET = "like_sides_offset"
_REPEATS = "repeats"


def make_blend(
    *,
    table: TableFiles,
    fitted: Mapping[str, Path],
    kernel: Path,
    kernel_predicted: Path,
    found: Path,
    bundle: Path,
    members: Path,
    out_of_fold: Path,
    signals: Mapping[str, Sequence[Column]],
    kinds: Mapping[str, type[Signal[Any]]],
    schema: BattleSchema,
    repeats: int,
    deadline: float,
    seed: int,
) -> None:
    """Fit the trees, calibrate the blend, and write bundle and out-of-fold predictions.

    Parameters
    ----------
    fitted : mapping of str to Path
        Signal -> the folder of its states.
    kernel, kernel_predicted : Path
        The fitted kernel, and what it says out of fold.
    found : Path
        What the search found.
    bundle : Path
        Folder to write the predictor into.
    members : Path
        Parquet to write: raw predictions of the members.
    out_of_fold : Path
        Parquet to write: ``id``, calibrated probabilities of the outcomes
        there are, fold and label.
    kinds : mapping of str to type of Signal
        Signal -> its class.
    repeats : int
        Seeds a fold whose trees are averaged.
    deadline : float
        A time of `time.monotonic` by which the last repeat but the first shall end.
    """
    data = read_table(table, signals)
    blend, prediction = fit_blend(
        data,
        read_search(found).parameters,
        seed,
        repeats,
        (read_kernel(kernel), read_kernel_out_of_fold(kernel_predicted)),
        deadline=deadline,
    )
    if prediction.trees.repeats < repeats:
        note(f"budget: {prediction.trees.repeats} of {repeats} repeats")
    raw, labels = prediction.probabilities, data.labels
    predictor = Predictor(
        {name: load_fitted(kinds[name], folder) for name, folder in fitted.items()},
        blend,
        fit_temperature(raw, labels),
        TrainedOn.of(data, pl.scan_parquet(table.training.battles)),
    )
    save_bundle(predictor, schema, bundle)
    trees = prediction.trees
    columns: dict[str, Any] = {
        _OFFSET: prediction.offset,
        _REPEATS: np.full(len(labels), trees.repeats, np.int32),
    }
    for part, values in zip(
        _PARTS, (trees.one_order, trees.other_order, prediction.kernel), strict=True
    ):
        columns |= {f"{part}_{name}": values[:, index] for index, name in enumerate(OUTCOMES)}
    with atomic_path(members) as path:
        pl.DataFrame(columns).write_parquet(path)
    calibrated = cross_fitted_temperature(raw, labels, data.folds)
    ids = pl.read_parquet(table.training.battles, columns=["id"])["id"]
    frame = pl.DataFrame(
        {
            "id": ids,
            **{
                PROBABILITIES[index]: calibrated[:, index]
                for index in range(len(predictor.outcomes))
            },
            "fold": pl.Series(data.folds, dtype=pl.Int8),
            "label": pl.Series(labels, dtype=pl.Int8),
        }
    )
    with atomic_path(out_of_fold) as path:
        frame.write_parquet(path)


def read_members(members: Path) -> BlendOutOfFold:
    """Return the raw out-of-fold predictions of a run."""
    frame = pl.read_parquet(members)
    one, other, kernel = (
        frame.select(f"{part}_{name}" for name in OUTCOMES).to_numpy() for part in _PARTS
    )
    trees = TreesOutOfFold(one, other, int(frame[_REPEATS][0]))
    return BlendOutOfFold(trees, kernel, frame[_OFFSET].to_numpy())
