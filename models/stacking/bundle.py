"""A trained ensemble as a folder of plain files, checked as it is read.

===================================  ===================================================
file                                 content
===================================  ===================================================
``manifest.json``                    format, versions, columns and parities, temperature,
                                     battle schema, sha256 of every other file
``stacker/{number}.txt``             LightGBM's text format, one file a fold and repeat
``kernel.safetensors, kernel.json``  the kernel half, one pair of regressions a fold
``signals/{name}/{fold}/``           the fitted state of a signal that learned
``probe.json``                       battles and the probabilities they were given when
                                     the bundle was written
===================================  ===================================================

Nothing is pickled. Loading checks every checksum and then predicts the probe:
a library of another version that computes something else is found there, not
on the leaderboard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import lightgbm as lgb
import numpy as np
import polars as pl

from featlab.battles import BattleSchema, LabelColumn, OneHotColumns, read_battles
from featlab.errors import BundleError
from featlab.features import BattleColumns
from featlab.files import atomic_path, file_fingerprint, read_json, write_json
from featlab.parity import Parity
from featlab.versions import versions
from models.stacking.blend import Blend
from models.stacking.kernel_files import load_kernel, save_kernel
from models.stacking.out_of_fold import FittedSignal
from models.stacking.predictor import Ensemble
from models.stacking.trees import Stacker
from models.stacking.vector_columns import scalar_columns

FORMAT = 3
MANIFEST = "manifest.json"
PROBE = "probe.json"

PROBE_BATTLES = {
    "id": [1, 2, 3],
    "prompt": [["Why is the sky blue?"], ["Write a haiku", "in Spanish 😊"], [""]],
    "response_a": [
        ["Because of **Rayleigh scattering**:\n\n1. Light is scattered.\n2. Blue more than red."],
        ["Sure! Here it is.", "Cielo azul, mar en calma…"],
        ["I'm sorry, but as an AI language model I cannot answer that."],
    ],
    "response_b": [["It is not."], ["No.", "Ñandú 天空\n```python\nprint(1)\n```"], [""]],
}


def save_bundle(
    ensemble: Ensemble, schema: BattleSchema, folder: Path, *, tolerance: float = 1e-6
) -> None:
    """Write an ensemble; the manifest comes last, so half a bundle is none.

    Parameters
    ----------
    ensemble : Ensemble
    schema : BattleSchema
        How the training file was read; test files are read the same way.
    folder : Path
    tolerance : float
        How far the probe's probabilities may lie off on another machine.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    files: list[str] = []
    for number, booster in enumerate(ensemble.blend.trees.boosters):
        name = f"stacker/{number}.txt"
        with atomic_path(folder / name) as path:
            path.write_text(booster.model_to_string(), encoding="utf-8")
        files.append(name)
    files += save_kernel(ensemble.blend.kernel, folder)
    signals = {}
    for name, fitted in ensemble.fitted.items():
        kind, source = type(fitted[0]), getattr(fitted[0], "source", None)
        signals[name] = {
            "class": f"{kind.__module__}:{kind.__qualname__}",
            "folds": len(fitted),
            "needs": ["an encoder"] if name in ("embedding", "encoder") else [],
            "encoder": source and source.spec.to_dict(),
        }
        for fold, signal in enumerate(fitted):
            home = folder / "signals" / name / str(fold)
            signal.save(home)
            files += sorted(
                str(path.relative_to(folder)) for path in home.rglob("*") if path.is_file()
            )
    write_json(
        folder / PROBE,
        {
            "tolerance": tolerance,
            "battles": PROBE_BATTLES,
            "probabilities": _predict_probe(ensemble, PROBE_BATTLES).tolist(),
        },
    )
    files.append(PROBE)
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "versions": versions(),
            "temperature": ensemble.temperature,
            "text_families": sorted({column.family for column in ensemble.text.columns}),
            "signals": signals,
            "columns": list(ensemble.blend.columns),
            "parity": {name: ensemble.blend.parity[name] for name in ensemble.blend.columns},
            "boosters": len(ensemble.blend.trees.boosters),
            "schema": _schema_to_json(schema),
            "sha256": {name: file_fingerprint(folder / name) for name in files},
        },
    )


def load_bundle(folder: Path) -> tuple[Ensemble, BattleSchema]:
    """Read an ensemble and the schema of its battles, checking files and predictions.

    Raises
    ------
    BundleError
        When the folder holds no bundle, a file is missing or altered, or this
        environment predicts the probe differently.
    """
    if not (folder / MANIFEST).is_file():
        raise BundleError(
            f"{folder} holds no bundle (no {MANIFEST}); run make train-ensemble first"
        )
    manifest = read_json(folder / MANIFEST)
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"{folder} has bundle format {manifest['format']}, this version reads {FORMAT}"
        )
    for name, expected in manifest["sha256"].items():
        if not (folder / name).is_file():
            raise BundleError(f"{folder}: file {name} is missing")
        if file_fingerprint(folder / name) != expected:
            raise BundleError(f"{folder}: file {name} differs from its recorded sha256")
    columns = tuple(manifest["columns"])
    parity = {name: Parity(value) for name, value in manifest["parity"].items()}
    scalars = scalar_columns(columns)
    trees = Stacker(
        tuple(scalars),
        {name: parity[name] for name in scalars},
        tuple(
            lgb.Booster(model_str=(folder / f"stacker/{number}.txt").read_text(encoding="utf-8"))
            for number in range(manifest["boosters"])
        ),
    )
    fitted = {
        name: [
            _signal_class(entry["class"]).load(folder / "signals" / name / str(fold))
            for fold in range(entry["folds"])
        ]
        for name, entry in manifest["signals"].items()
    }
    text = BattleColumns(families=manifest["text_families"])
    blend = Blend(trees, load_kernel(folder), columns, parity)
    ensemble = Ensemble(text, fitted, blend, manifest["temperature"])
    _check_probe(ensemble, folder, manifest["versions"])
    return ensemble, _schema_from_json(manifest["schema"])


def _predict_probe(ensemble: Ensemble, columns: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    return ensemble.predict(read_battles(pl.DataFrame(columns)))[1]


def _check_probe(ensemble: Ensemble, folder: Path, recorded: Mapping[str, str]) -> None:
    probe = read_json(folder / PROBE)
    expected = np.array(probe["probabilities"])
    found = _predict_probe(ensemble, probe["battles"])
    gap = float(np.abs(found - expected).max())
    if gap > probe["tolerance"]:
        here = versions()
        changed = ", ".join(
            f"{name} {old} -> {here.get(name, 'none')}"
            for name, old in recorded.items()
            if here.get(name) != old
        )
        raise BundleError(
            f"{folder}: this environment predicts the probe differently, by up to {gap:.2g} "
            f"({changed or 'same versions, another machine'}); install the recorded versions "
            "or train again here"
        )


def _signal_class(path: str) -> type[FittedSignal]:
    module, _, name = path.partition(":")
    if not module.startswith(("featlab.", "models.")):
        raise BundleError(f"the bundle names a signal outside this project: {path}")
    return cast(type[FittedSignal], getattr(import_module(module), name))


def _schema_to_json(schema: BattleSchema) -> dict[str, Any]:
    return asdict(schema)


def _schema_from_json(value: dict[str, Any]) -> BattleSchema:
    outcome = value["outcome"]
    kind = LabelColumn if "column" in outcome else OneHotColumns
    return BattleSchema(**{**value, "outcome": kind(**outcome)})
