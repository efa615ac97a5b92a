"""A run's bundle as it travels: its own files, and the frozen encoders it reads with.

A bundle names a frozen encoder by its name on the hub or by a folder of the
machine it was trained on. Neither is to be had without a network on another
machine, so the encoder's files come along and the copy names those.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featlab.encoder.spec import EncoderSpec
from featlab.encoder.weights import DOWNLOADED, find_weights
from featlab.errors import BundleError, ConfigError
from featlab.files import file_fingerprint, write_json
from featlab.manifest import checked_files
from featlab.signals import REGISTRY
from featlab.signals.given import ADDRESS as GIVEN
from featlab.signals.text import ADDRESS as TEXT_WITH
from models.stacking.bundle import MANIFEST, UNLISTED, read_manifest


def encoders_of(bundle: Path) -> dict[str, EncoderSpec | None]:
    """Return each signal that needs torch, with the frozen encoder it needs besides, if any.

    Raises
    ------
    BundleError
        When the folder holds no bundle that says so.
    ConfigError
        When it predicts by what a kit does not carry.
    """
    manifest = read_manifest(bundle)
    _refuse_what_stays_behind(manifest["signals"])
    try:
        stated = manifest["encoders"].items()
        return {name: spec and EncoderSpec.from_dict(spec) for name, spec in stated}
    except (ConfigError, KeyError, AttributeError, TypeError) as error:
        raise BundleError(
            f"{bundle}: the manifest does not say which encoders it needs ({error!r}); train again"
        ) from None


def _refuse_what_stays_behind(signals: Mapping[str, str]) -> None:
    """See that everything which predicts is in the bundle or this project."""
    for name, address in signals.items():
        if address.startswith(GIVEN):
            raise ConfigError(
                f"this ensemble reads the probabilities of {name}, which nobody has of Kaggle's "
                "hidden battles; pack a run that was trained without --given"
            )
        if address not in REGISTRY:
            own = address.removeprefix(TEXT_WITH).partition(":")[0]
            option = "--features" if address.startswith(TEXT_WITH) else "--signals"
            raise ConfigError(
                f"this ensemble reads with {own}, code from outside this project that a kit does "
                f"not carry; pack a run that was trained without {option} {own}"
            )


def copy_bundle(bundle: Path, kit: Path) -> None:
    """Copy a bundle to ``run/bundle`` and its frozen encoders to ``encoder`` of a kit.

    Raises
    ------
    BundleError
        When the folder holds no bundle, or a file of it is not what its manifest says.
    WeightsError
        When an encoder's weights are not to be found here.
    """
    frozen = encoders_of(bundle)
    manifest = read_manifest(bundle)
    files = checked_files(bundle, manifest["sha256"], besides=UNLISTED)
    copy = kit / "run" / "bundle"
    for name, path in {**files, MANIFEST: bundle / MANIFEST}.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy / name)
    for signal, spec in frozen.items():
        if spec is None:
            continue
        home = f"encoder/{spec.id}"
        _copy_encoder(spec, kit / home)
        for name in files:
            if name.startswith(f"signals/{signal}/") and name.endswith(".json"):
                _rename(copy / name, spec, home)
                manifest["sha256"][name] = file_fingerprint(copy / name)
        write_json(copy / MANIFEST, manifest)
        _rename(copy / MANIFEST, spec, home)


def _rename(path: Path, spec: EncoderSpec, home: str) -> None:
    """Name an encoder's new home wherever a JSON file describes it."""

    def renamed(value: dict[str, Any]) -> dict[str, Any]:
        described = value.get("model") == spec.model and "max_tokens" in value
        return value | {"model": home, "revision": None} if described else value

    write_json(path, json.loads(path.read_text(encoding="utf-8"), object_hook=renamed))


def _copy_encoder(spec: EncoderSpec, target: Path) -> None:
    source = find_weights(spec)
    target.mkdir(parents=True, exist_ok=True)
    for pattern in (*DOWNLOADED, "*.model"):
        for file in source.glob(pattern):
            shutil.copyfile(file, target / file.name)
