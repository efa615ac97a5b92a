"""The linear half as files of a bundle: coefficients as safetensors, names as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from featlab.files import atomic_path, read_json, write_json
from models.symmetric_logistic import LinearStacker, ScaledColumns, SymmetricLogistic

TENSORS = "linear.safetensors"
DESCRIPTION = "linear.json"


def save_linear(stacker: LinearStacker, folder: Path) -> list[str]:
    """Write the fold models; returns the names of the files."""
    tensors: dict[str, NDArray[np.float64]] = {}
    models: list[dict[str, Any]] = []
    for number, model in enumerate(stacker.models):
        for side in ("odd", "even"):
            columns: ScaledColumns = getattr(model, side)
            tensors[f"{number}.{side}.centre"] = columns.centre
            tensors[f"{number}.{side}.spread"] = columns.spread
        tensors[f"{number}.margin"], tensors[f"{number}.tie"] = model.margin, model.tie
        models.append(
            {
                "odd": list(model.odd.names),
                "even": list(model.even.names),
                "tie_intercept": model.tie_intercept,
                "penalties": list(model.penalties),
            }
        )
    with atomic_path(folder / TENSORS) as path:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    write_json(folder / DESCRIPTION, {"models": models})
    return [TENSORS, DESCRIPTION]


def load_linear(folder: Path) -> LinearStacker:
    """Read what `save_linear` wrote."""
    tensors = load_file(folder / TENSORS)
    models = []
    for number, entry in enumerate(read_json(folder / DESCRIPTION)["models"]):
        odd, even = (
            ScaledColumns(
                tuple(entry[side]),
                tensors[f"{number}.{side}.centre"],
                tensors[f"{number}.{side}.spread"],
            )
            for side in ("odd", "even")
        )
        margin_penalty, tie_penalty = entry["penalties"]
        models.append(
            SymmetricLogistic(
                odd,
                even,
                tensors[f"{number}.margin"],
                tensors[f"{number}.tie"],
                float(entry["tie_intercept"]),
                (margin_penalty, tie_penalty),
            )
        )
    return LinearStacker(tuple(models))
