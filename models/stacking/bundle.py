"""A trained predictor as a folder of plain files, checked as it is read.

==============================  ========================================================
file                            content
==============================  ========================================================
``manifest.json``               format, versions, signals, columns, outcomes, temperature,
                                offset of battles of like sides, battle schema, sha256
                                of every other file
``trees/{number}.txt``          LightGBM's text format, one file a fold and repeat
``kernel/``                     the kernel's state, one pair of regressions a fold
``signals/{name}/{fold}/``      the state of every signal, as `featlab.signals.state`
                                writes it
``trained_on/``                 means of the even columns, hashes of the training battles
``probe.json``                  battles and the probabilities they were given when the
                                bundle was written
==============================  ========================================================

Nothing is pickled. Loading checks every checksum and then predicts the probe:
a library of another version that computes something else is found there, not
on the leaderboard. A signal of this project is found by its name; the code of
any other one runs only if whoever loads the bundle trusts its module.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from featlab.battles import ARENA, BattleSchema, read_battles
from featlab.columns import Kind
from featlab.errors import BundleError, FeatlabError
from featlab.files import atomic_path, file_fingerprint, files_of, read_json, write_json
from featlab.manifest import checked_files
from featlab.signals import (
    REGISTRY,
    Need,
    Signal,
    find_signal,
    load_state,
    save_state,
)
from featlab.versions import versions
from models.checked_json import checked_json
from models.lightgbm_alone import lgb
from models.probabilities import Probabilities
from models.stacking.blend import Blend
from models.stacking.kernel import Kernel
from models.stacking.out_of_fold import load_fitted, save_fitted
from models.stacking.predictor import Predictor
from models.stacking.trained_on import NAME as TRAINED_ON
from models.stacking.trained_on import TrainedOn
from models.stacking.tree_text import checked_text, read_booster
from models.stacking.trees import Trees

FORMAT = 6
MANIFEST = "manifest.json"
PROBE = "probe.json"
MODEL_CARD = "README.md"
UNLISTED = (MANIFEST, MODEL_CARD)
"""Files that are there without a checksum: the list itself, and the card that a report writes."""
TREES = "trees"
KERNEL = "kernel"
SIGNALS = "signals"

PROBE_BATTLES: dict[str, list[Any]] = {
    "id": [1, 2, 3],
    "prompt": [["Why is the sky blue?"], ["Write a haiku", "in Spanish 😊"], [""]],
    "response_a": [
        ["Because of **Rayleigh scattering**:\n\n1. Light is scattered.\n2. Blue more than red."],
        ["Sure! Here it is.", "Cielo azul, mar en calma…"],
        ["I'm sorry, but as an AI language model I cannot answer that."],
    ],
    "response_b": [["It is not."], ["No.", "Ñandú 天空\n```python\nprint(1)\n```"], [""]],
}


def save_bundle(predictor: Predictor, schema: BattleSchema, folder: Path) -> None:
    """Write a predictor; the manifest comes last, so half a bundle is none.

    Parameters
    ----------
    predictor : Predictor
    schema : BattleSchema
        How the training file was read; test files are read the same way.
    folder : Path
    """
    for name in UNLISTED:
        (folder / name).unlink(missing_ok=True)
    for stale in (folder / TREES, folder / TRAINED_ON, *(folder / SIGNALS).glob("*")):
        if stale.name not in predictor.signals:
            shutil.rmtree(stale, ignore_errors=True)
    scalars = [column.name for column in predictor.blend.trees.columns]
    for number, booster in enumerate(predictor.blend.trees.boosters):
        with atomic_path(folder / _tree_file(number)) as path:
            path.write_bytes(checked_text(booster.model_to_string().encode(), scalars))
    save_state(predictor.blend.kernel.state(), folder / KERNEL, KERNEL)
    if predictor.trained_on is not None:
        save_state(predictor.trained_on.state(), folder / TRAINED_ON, TRAINED_ON)
    for name, fitted in predictor.signals.items():
        save_fitted(fitted, folder / SIGNALS / name)
    write_json(
        folder / PROBE,
        {
            "battles": PROBE_BATTLES,
            "probabilities": _predict_probe(predictor, PROBE_BATTLES).tolist(),
        },
    )
    files = [path for path in files_of(folder) if path.name not in UNLISTED]
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "versions": versions(),
            "temperature": predictor.temperature,
            "like_sides_offset": predictor.blend.like_sides_offset,
            "signals": {name: _class_name(fitted[0]) for name, fitted in predictor.signals.items()},
            "encoders": _encoders(predictor),
            "columns": [column.name for column in predictor.columns],
            "boosters": len(predictor.blend.trees.boosters),
            "outcomes": list(predictor.outcomes),
            "schema": schema.to_dict(),
            "sha256": {str(path.relative_to(folder)): file_fingerprint(path) for path in files},
        },
    )


def load_bundle(folder: Path, trusted: Collection[str] = ()) -> tuple[Predictor, BattleSchema]:
    """Read a predictor and the schema of its battles, checking files and predictions.

    Parameters
    ----------
    folder : Path
    trusted : collection of str
        Modules outside this project whose signals may be imported and run.

    Raises
    ------
    BundleError
        When the folder holds no bundle, a file is missing, altered or not of
        the bundle, or this environment predicts the probe differently.
    ConfigError
        When a signal's module is not trusted.
    """
    manifest = read_manifest(folder)
    checked_files(folder, manifest["sha256"], besides=UNLISTED)
    kinds = {name: find_signal(path, trusted) for name, path in manifest["signals"].items()}
    try:
        return _load(folder, manifest, kinds), BattleSchema.from_dict(manifest["schema"])
    except (FeatlabError, OSError, MemoryError):
        raise
    # Checksums tell who is careless, not who is hostile: whatever else fails in reading and
    # trying out a bundle is the bundle's.
    except Exception as error:
        raise BundleError(f"{folder}: cannot be used: {error!r}; train again") from error


def _load(
    folder: Path, manifest: Mapping[str, Any], kinds: Mapping[str, type[Signal[Any]]]
) -> Predictor:
    signals = {name: load_fitted(kind, folder / SIGNALS / name) for name, kind in kinds.items()}
    kernel = Kernel.from_state(load_state(folder / KERNEL, KERNEL))
    # The trees' columns are known once the signals are there.
    columns = Predictor(signals, Blend(Trees((), ()), kernel), 1.0).columns
    if [column.name for column in columns] != manifest["columns"]:
        raise BundleError(
            f"{folder}: was trained on other columns than this version makes; train again"
        )
    scalars = tuple(column for column in columns if column.kind is not Kind.VECTOR)
    if manifest["boosters"] != sum(name.startswith(f"{TREES}/") for name in manifest["sha256"]):
        raise BundleError(f"{folder}: lists another number of trees than it holds; train again")
    boosters = read_boosters(folder, manifest["boosters"], [column.name for column in scalars])
    blend = Blend(Trees(scalars, boosters), kernel, manifest["like_sides_offset"])
    trained_on = None
    if (folder / TRAINED_ON).is_dir():
        trained_on = TrainedOn.from_state(load_state(folder / TRAINED_ON, TRAINED_ON))
    predictor = Predictor(signals, blend, manifest["temperature"], trained_on)
    _check_probe(predictor, folder, manifest["versions"])
    return predictor


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a bundle's manifest.

    Raises
    ------
    BundleError
        When there is none, or its format is another.
    FileError
        When it is torn, or a part of it is missing or of the wrong type.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{folder} holds no bundle (no {MANIFEST}); run make train-ensemble first"
        )
    manifest: dict[str, Any] = checked_json(path, _FORMAT)
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"{folder} has bundle format {manifest['format']}, this version reads {FORMAT}; "
            "train again"
        )
    checked_json(path, _MANIFEST)
    return manifest


def read_boosters(folder: Path, count: int, names: Sequence[str]) -> tuple[lgb.Booster, ...]:
    """Return the trees of a bundle, fold by fold, the repeats of a fold together.

    Parameters
    ----------
    folder : Path
    count : int
        How many models there are.
    names : sequence of str
        The columns that they know.
    """
    files = (folder / _tree_file(number) for number in range(count))
    return tuple(read_booster(file.read_bytes(), names, str(file)) for file in files)


class _Format(TypedDict):
    format: int


class _Manifest(_Format):
    versions: dict[str, str]
    temperature: Annotated[float, Field(gt=0, lt=1e6)]
    like_sides_offset: Annotated[float, Field(gt=-100, lt=100)]
    signals: Annotated[dict[str, str], Field(min_length=1)]
    encoders: dict[str, dict[str, Any] | None]
    columns: list[str]
    boosters: Annotated[int, Field(gt=0)]
    outcomes: list[str]
    schema: dict[str, Any]
    sha256: dict[str, str]


_FORMAT, _MANIFEST = TypeAdapter(_Format), TypeAdapter(_Manifest)


def _tree_file(number: int) -> str:
    return f"{TREES}/{number}.txt"


def _encoders(predictor: Predictor) -> dict[str, Any]:
    """Return signal -> the frozen encoder it reads with; none where its state has the weights."""
    states = {
        name: fitted[0].state()
        for name, fitted in predictor.signals.items()
        if Need.ENCODER in fitted[0].needs
    }
    return {name: None if it.files else it.values.get("encoder") for name, it in states.items()}


def _class_name(signal: Signal[Any]) -> str:
    kind = type(signal)
    if kind.address is not None:
        return kind.address
    path = f"{kind.__module__}:{kind.__qualname__}"
    return signal.name if REGISTRY.get(signal.name) and find_signal(signal.name) is kind else path


def _predict_probe(predictor: Predictor, columns: Mapping[str, Sequence[Any]]) -> Probabilities:
    return predictor.predict(read_battles(pl.DataFrame(columns), ARENA))[1]


def _check_probe(predictor: Predictor, folder: Path, recorded: Mapping[str, str]) -> None:
    probe = read_json(folder / PROBE)
    expected = np.array(probe["probabilities"], np.float64)
    found = _predict_probe(predictor, probe["battles"])
    if expected.shape != found.shape or not found.size:
        raise BundleError(f"{folder / PROBE}: holds no probabilities of its battles; train again")
    gap = float(np.abs(found - expected).max())
    # What a signal's own class says, not the file; and a NaN is no small gap.
    if not gap <= max(fitted[0].probe_tolerance for fitted in predictor.signals.values()):
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
