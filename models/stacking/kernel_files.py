"""The kernel half as files of a bundle: numbers as safetensors, names as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from featlab.files import atomic_path, read_json, write_json
from models.stacking.kernel import Coordinates, KernelStacker, SymmetricKernel
from models.stacking.scaled_columns import ScaledColumns

TENSORS = "kernel.safetensors"
DESCRIPTION = "kernel.json"

_ARRAYS = ("landmarks_odd", "landmarks_even", "margin", "tie")


def save_kernel(stacker: KernelStacker, folder: Path) -> list[str]:
    """Write the fold models; returns the names of the files."""
    tensors: dict[str, NDArray[np.floating[Any]]] = {}
    models: list[dict[str, Any]] = []
    for number, model in enumerate(stacker.models):
        coordinates = model.coordinates
        for side in ("odd", "even"):
            columns: ScaledColumns = getattr(coordinates, side)
            tensors[f"{number}.{side}.centre"] = columns.centre
            tensors[f"{number}.{side}.spread"] = columns.spread
        for name in _ARRAYS:
            tensors[f"{number}.{name}"] = getattr(model, name)
        models.append(
            {
                "odd": list(coordinates.odd.names),
                "even": list(coordinates.even.names),
                "vector": list(coordinates.vector),
                "vector_scale": coordinates.vector_scale,
                "tie_intercept": model.tie_intercept,
                "penalties": list(model.penalties),
            }
        )
    with atomic_path(folder / TENSORS) as path:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    write_json(folder / DESCRIPTION, {"models": models})
    return [TENSORS, DESCRIPTION]


def load_kernel(folder: Path) -> KernelStacker:
    """Read what `save_kernel` wrote."""
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
        coordinates = Coordinates(odd, even, tuple(entry["vector"]), float(entry["vector_scale"]))
        margin_penalty, tie_penalty = entry["penalties"]
        models.append(
            SymmetricKernel(
                coordinates,
                **{name: tensors[f"{number}.{name}"] for name in _ARRAYS},
                tie_intercept=float(entry["tie_intercept"]),
                penalties=(margin_penalty, tie_penalty),
            )
        )
    return KernelStacker(tuple(models))
