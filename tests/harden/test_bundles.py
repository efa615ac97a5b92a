"""A stranger's bundle: what lies in it, or leads out of it, is refused before it is used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from featlab.errors import BundleError, ConfigError, FeatlabError, FileError
from featlab.files import read_json, write_json
from featlab.signals import load_state
from models.checked_json import checked_json
from models.stacking.bundle import load_bundle


@pytest.fixture
def bundle(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "bundle", tmp_path / "bundle")
    return tmp_path / "bundle"


def change(bundle: Path, name: str, edit: Callable[[Any], None]) -> None:
    """Change a JSON file and its recorded checksum, as an attacker would."""
    value = read_json(bundle / name)
    edit(value)
    write_json(bundle / name, value)
    if name != "manifest.json":
        digest = sha256((bundle / name).read_bytes()).hexdigest()
        change(bundle, "manifest.json", lambda manifest: manifest["sha256"].update({name: digest}))


@pytest.mark.parametrize("name", ["../payload.py", "/etc/passwd", "link/x", "kernel/../probe.json"])
def test_names_that_lead_elsewhere_are_refused(bundle: Path, name: str) -> None:
    change(bundle, "manifest.json", lambda manifest: manifest["sha256"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="is missing"):
        load_bundle(bundle)


def test_a_pipe_is_not_waited_for(bundle: Path) -> None:
    (bundle / "probe.json").unlink()
    os.mkfifo(bundle / "probe.json")
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(bundle)


def test_checksums_cannot_be_left_out(bundle: Path) -> None:
    change(bundle, "manifest.json", lambda manifest: manifest["sha256"].clear())
    with pytest.raises(BundleError, match="not in its list"):
        load_bundle(bundle)


def test_the_probe_cannot_be_talked_out_of_its_tolerance(bundle: Path) -> None:
    change(bundle, "probe.json", lambda probe: probe.update(tolerance=1e9))
    load_bundle(bundle)
    change(bundle, "probe.json", lambda probe: probe["probabilities"][0].reverse())
    with pytest.raises(BundleError, match="predicts the probe differently"):
        load_bundle(bundle)
    change(bundle, "probe.json", lambda probe: probe.update(probabilities=[[float("nan")] * 3] * 3))
    with pytest.raises(BundleError, match="predicts the probe differently"):
        load_bundle(bundle)
    change(bundle, "probe.json", lambda probe: probe.update(probabilities=[], battles={}))
    with pytest.raises(FeatlabError):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "path", ["models.preference.preference_model:torch", "os:system", "builtins:eval"]
)
def test_a_signal_is_found_by_its_name_only(bundle: Path, path: str) -> None:
    change(bundle, "manifest.json", lambda manifest: manifest["signals"].update(text=path))
    with pytest.raises(ConfigError, match="code from outside"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("temperature", "1"),
        ("temperature", float("nan")),
        ("like_sides_offset", float("nan")),
        ("signals", {}),
        ("signals", ["text"]),
        ("boosters", 0),
        ("boosters", 10**9),
        ("columns", [1]),
        ("schema", {}),
        ("schema", {"outcome": None}),
        ("sha256", {"probe.json": 1}),
    ],
)
def test_parts_of_the_wrong_type_are_named_or_refused(
    bundle: Path, part: str, value: object
) -> None:
    change(bundle, "manifest.json", lambda manifest: manifest.update({part: value}))
    with pytest.raises(FeatlabError, match=r"bundle"):
        load_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 200_000, b"\xff\xfe", b"[]", b"null"])
def test_a_torn_or_deep_manifest_is_one_sentence(bundle: Path, content: bytes) -> None:
    (bundle / "manifest.json").write_bytes(content)
    with pytest.raises(FeatlabError, match=r"manifest\.json"):
        load_bundle(bundle)


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_of_any_structure_is_held_against_its_types(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    with pytest.raises(FileError, match="damaged"):
        checked_json(path, TypeAdapter(dict[str, int]))


def test_a_flipped_byte_of_arrays_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    home = tmp_path / "kernel"
    shutil.copytree(trained / "bundle" / "kernel", home)
    whole = (home / "state.safetensors").read_bytes()
    for at in range(0, min(len(whole), 400), 7):
        (home / "state.safetensors").write_bytes(
            whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        )
        try:
            load_state(home, "kernel")
        except BundleError:
            continue
