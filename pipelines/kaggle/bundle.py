"""A run's bundle as it travels: its own files, and the frozen encoder it reads with.

A bundle names a frozen encoder by its name on the hub or by a folder of the
machine it was trained on. Neither is to be had without a network on another
machine, so the encoder's files come along and the copy names those.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError
from featlab.files import file_fingerprint, read_json, write_json
from models.stacking.bundle import MANIFEST

_ENCODER_FILES = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")
_TORCH_SIGNALS = frozenset({"embedding", "encoder"})


def needs_torch(bundle: Path) -> bool:
    """Whether a signal of the bundle reads with an encoder.

    Raises
    ------
    BundleError
        When the folder holds no bundle.
    """
    return bool(_TORCH_SIGNALS & set(_manifest(bundle)["signals"]))


def copy_bundle(bundle: Path, kit: Path) -> None:
    """Copy a bundle to ``run/bundle`` and its frozen encoder to ``encoder`` of a kit.

    Raises
    ------
    BundleError
        When the folder holds no bundle.
    WeightsError
        When the encoder's weights are not to be found here.
    """
    manifest = _manifest(bundle)
    copy = kit / "run" / "bundle"
    for name in (*manifest["sha256"], MANIFEST):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / name, copy / name)
    described = sorted((copy / "signals").rglob("embedding.json"))
    for path in described:
        description = read_json(path)
        spec = EncoderSpec.from_dict(description["encoder"])
        if not (kit / "encoder").is_dir():
            _copy_encoder(spec, kit / "encoder")
        description["encoder"] |= {"model": "encoder", "revision": None}
        write_json(path, description)
        manifest["sha256"][path.relative_to(copy).as_posix()] = file_fingerprint(path)
    if described:
        write_json(copy / MANIFEST, manifest)


def _copy_encoder(spec: EncoderSpec, target: Path) -> None:
    from featlab.encoder.weights import find_weights

    source = find_weights(spec)
    target.mkdir()
    for pattern in _ENCODER_FILES:
        for file in source.glob(pattern):
            shutil.copyfile(file, target / file.name)


def _manifest(bundle: Path) -> dict[str, Any]:
    if not (bundle / MANIFEST).is_file():
        raise BundleError(
            f"{bundle} holds no bundle (no {MANIFEST}); run make train-ensemble first"
        )
    manifest: dict[str, Any] = read_json(bundle / MANIFEST)
    return manifest
