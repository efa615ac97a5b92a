"""What a Kaggle kit holds, and that its script runs from it; wheels are downloaded elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from featlab.battles import OUTCOMES
from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError, ConfigError, FeatlabError
from featlab.files import file_fingerprint, write_json
from featlab.manifest import checked_files
from models.stacking.bundle import FORMAT
from models.stacking.submission import COLUMNS
from pipelines import kaggle_kit
from pipelines.kaggle import submit as kaggle_submit
from pipelines.kaggle import wheels as kaggle_wheels
from pipelines.kaggle.bundle import copy_bundle, encoders_of
from pipelines.kaggle.kit import estimate
from pipelines.kaggle_kit import KaggleKitSettings
from pipelines.run.console import run_command
from tests.pipelines.test_main_job import predict

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def make(run: Path, out: Path, *more: str) -> None:
    arguments = ["--run", str(run), "--out", str(out), "--python-version", PYTHON, *more]
    run_command(kaggle_kit.main, KaggleKitSettings, "kit", arguments)


@pytest.fixture(scope="module")
def kit(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit without the wheels that would have to be downloaded."""
    out = tmp_path_factory.mktemp("kits") / "kit"
    pip = kaggle_wheels._pip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kaggle_wheels, "_pip", lambda *it: it[0] == "download" or pip(*it))
        make(trained, out, "--owner", "someone")
    return out


@pytest.fixture
def inputs(kit: Path, generated: Path, tmp_path: Path) -> Path:
    """What Kaggle mounts: the dataset and the competition's files, wherever it likes to."""
    mounted = tmp_path / "input"
    shutil.copytree(kit / "dataset", mounted / "datasets" / "someone" / "featlab-kit")
    competition = mounted / "competitions" / "llm-classification-finetuning"
    competition.mkdir(parents=True)
    shutil.copyfile(generated / "test.csv", competition / "test.csv")
    return mounted


def submit(kit: Path, inputs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    script = kit / "notebook" / "submit.py"
    return subprocess.run(
        [sys.executable, str(script), "--input", str(inputs), "--out", str(out)],
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_kit_holds_all_that_a_submission_needs(kit: Path, trained: Path) -> None:
    dataset = kit / "dataset"
    description = json.loads((dataset / "kit.json").read_text())
    files = {path.relative_to(dataset).as_posix() for path in dataset.rglob("*") if path.is_file()}
    assert files == {*description["sha256"], "kit.json", "dataset-metadata.json"}
    assert {"models/stacking/bundle.py", "pipelines/submit.py", "run/bundle/manifest.json"} <= files
    assert all(re.search(r"\.(py|whl|json|txt|safetensors)$", name) for name in files)
    assert [path.name for path in (dataset / "wheels").iterdir()] == [
        f"featlab-{description['featlab']}-py3-none-any.whl"
    ]
    assert description["requirements"] == [f"featlab=={description['featlab']}"]
    bundle = trained / "bundle" / "manifest.json"
    assert (dataset / "run/bundle/manifest.json").read_bytes() == bundle.read_bytes()


def test_its_metadata_say_no_internet_and_gpu(kit: Path) -> None:
    dataset = json.loads((kit / "dataset" / "dataset-metadata.json").read_text())
    assert dataset["id"] == "someone/featlab-kit"
    assert 6 <= len(dataset["title"]) <= 50
    kernel = json.loads((kit / "notebook" / "kernel-metadata.json").read_text())
    assert kernel["enable_internet"] is False
    assert kernel["enable_gpu"] is True
    assert kernel["dataset_sources"] == [dataset["id"]]
    assert kernel["competition_sources"] == ["llm-classification-finetuning"]
    assert (kit / "notebook" / kernel["code_file"]).read_bytes() == Path(
        kaggle_submit.__file__
    ).read_bytes()


def test_the_script_installs_and_predicts_what_the_run_predicts(
    kit: Path, trained: Path, generated: Path, inputs: Path, tmp_path: Path
) -> None:
    result = submit(kit, inputs, tmp_path / "submission.csv")
    assert result.returncode == 0, result.stderr
    assert "25,000 battles in" in result.stdout
    assert "installed in" in result.stdout
    assert tuple(pl.read_csv(tmp_path / "submission.csv").columns) == COLUMNS
    predict(trained, generated / "test.csv", tmp_path / "direct.csv")
    assert (tmp_path / "submission.csv").read_bytes() == (tmp_path / "direct.csv").read_bytes()


def test_the_script_ends_with_a_sentence(
    kit: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(words: str) -> None:
        result = submit(kit, inputs, tmp_path / "submission.csv")
        assert result.returncode == 1
        assert words in result.stderr
        assert result.stderr.startswith("error: ")
        assert not (tmp_path / "submission.csv").exists()

    dataset = inputs / "datasets" / "someone" / "featlab-kit"
    source = dataset / "pipelines" / "submit.py"
    content = source.read_text()
    source.write_text(content + "\n")
    refused("pipelines/submit.py of the kit was changed")
    source.unlink()
    refused("lacks pipelines/submit.py")
    source.write_text(content)
    description = json.loads((dataset / "kit.json").read_text())
    (dataset / "kit.json").write_text(json.dumps({**description, "python": "3.99"}))
    refused('ARGS="--python-version')
    (inputs / "competitions" / "llm-classification-finetuning" / "test.csv").unlink()
    refused("add the competition's data")
    (dataset / "kit.json").unlink()
    refused("add the kit's dataset")


WITHOUT_OTHERS = """
import json, runpy, sys
absent = set(json.loads(sys.argv.pop(1)))
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
runpy.run_module("pipelines.submit", run_name="__main__")
"""


def test_nothing_but_the_kits_packages_is_imported(
    trained: Path, generated: Path, tmp_path: Path
) -> None:
    provided = {
        module: {name.lower().replace("_", "-") for name in distributions}
        for module, distributions in packages_distributions().items()
    }
    installed = set().union(*provided.values())
    needed, waiting = {"featlab"}, {*kaggle_wheels.RUNTIME}
    while waiting:
        name = waiting.pop()
        needed.add(name)
        stated = [line for line in requires(name) or [] if "extra ==" not in line]
        found = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in stated}
        waiting |= (found & installed) - needed
    absent = [module for module, names in provided.items() if not names & needed]
    assert {"optuna", "torch", "pandas", "matplotlib"} <= set(absent)
    result = subprocess.run(
        [
            *(sys.executable, "-c", WITHOUT_OTHERS),
            json.dumps(absent),
            *("--run", str(trained), "--test", str(generated / "test.csv")),
            *("--out", str(tmp_path / "out.csv")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.csv").is_file()


def test_a_kit_needs_an_owner_and_replaces_kits_only(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    monkeypatch.setattr(kaggle_wheels, "_pip", lambda *_: None)
    with pytest.raises(SystemExit):
        make(trained, tmp_path / "kit")
    assert "--owner" in capsys.readouterr().err
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    (tmp_path / "precious").mkdir()
    with pytest.raises(SystemExit):
        make(trained, tmp_path / "precious")
    assert "is no kit" in capsys.readouterr().err
    make(trained, tmp_path / "kit")
    (tmp_path / "kit" / "dataset" / "old").touch()
    make(trained, tmp_path / "kit")
    assert not (tmp_path / "kit" / "dataset" / "old").exists()
    with pytest.raises(SystemExit):
        make(tmp_path / "empty", tmp_path / "other")
    assert "make train-ensemble" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit", "precious"]


def test_the_estimate_is_in_proportion_to_the_sample(trained: Path, generated: Path) -> None:
    words = estimate(trained / "bundle", generated / "test.csv")
    found = re.fullmatch(r"25,000 battles in (.+) \(60 took ([\d.]+) s on the machine .+\)", words)
    assert found is not None
    expected = sum(60**place * int(part) for place, part in enumerate(found[1].split(":")[::-1]))
    assert expected > (float(found[2]) - 0.1) * 400


def bundle_of(folder: Path, files: dict[str, Any], **more: Any) -> Path:
    """Lay out a bundle of JSON files."""
    for name, value in files.items():
        write_json(folder / name, value)
    sha256 = {name: file_fingerprint(folder / name) for name in files}
    told: dict[str, Any] = {
        "format": FORMAT,
        "versions": {},
        "temperature": 1.0,
        "like_sides_offset": 0.0,
        "signals": {"text": "text"},
        "encoders": {},
        "columns": [],
        "boosters": 1,
        "outcomes": list(OUTCOMES),
        "schema": {},
        "sha256": sha256,
    }
    write_json(folder / "manifest.json", told | more)
    return folder


def test_a_frozen_encoder_comes_along(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (model / name).write_text("{}")
    save_file({"w": np.zeros(3, np.float32)}, model / "model.safetensors")
    (model / "notes.md").write_text("not needed")
    spec = EncoderSpec(str(model), max_tokens=64).to_dict()
    states = {f"signals/frozen/{fold}/state.json": {"values": {"encoder": spec}} for fold in "01"}
    other = {"signals/tuned/0/state.json": {"values": {"encoder": spec}}}
    bundle = bundle_of(
        tmp_path / "bundle",
        {**states, **other},
        encoders={"frozen": spec, "tuned": None},
    )
    assert encoders_of(bundle) == {"frozen": EncoderSpec(str(model), max_tokens=64), "tuned": None}
    copy_bundle(bundle, tmp_path / "kit")
    copied = tmp_path / "kit" / "run" / "bundle"
    manifest = json.loads((copied / "manifest.json").read_text())
    checked_files(copied, manifest["sha256"], besides=["manifest.json"])
    moved = manifest["encoders"]["frozen"]
    assert {**moved, "model": str(model)} == spec
    for name in states:
        assert json.loads((copied / name).read_text()) == {"values": {"encoder": moved}}
    for name in other:
        assert (copied / name).read_bytes() == (bundle / name).read_bytes()
    home = tmp_path / "kit" / moved["model"]
    assert {path.name for path in home.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json")
    }
    assert EncoderSpec(str(home), max_tokens=64).id == EncoderSpec(str(model), max_tokens=64).id


def test_what_is_no_bundle_is_refused_and_nothing_leaves_the_kit(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no bundle"):
        encoders_of(tmp_path)
    with pytest.raises(FeatlabError, match="encoders"):
        encoders_of(bundle_of(tmp_path / "silent", {}, encoders=[]))
    bundle = bundle_of(tmp_path / "bundle", {"probe.json": {}}, encoders={})
    (tmp_path / "payload.py").write_text("")
    (bundle / "link").symlink_to(".")
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in ("link/../payload.py", "../payload.py", str(tmp_path / "payload.py"), "link"):
        manifest["sha256"] = {name: file_fingerprint(tmp_path / "payload.py")}
        write_json(bundle / "manifest.json", manifest)
        with pytest.raises(BundleError, match="link is a link"):
            copy_bundle(bundle, tmp_path / "kit")
    assert not list(tmp_path.glob("kit/**/*"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("given:llm", "the probabilities of it, .* without --given"),
        ("text+own.py", "reads with own.py, .* without --features own.py"),
        ("my_module:MySignal", "reads with my_module, .* without --signals my_module"),
    ],
)
def test_what_a_kit_cannot_carry_is_refused_before_anything_is_packed(
    tmp_path: Path, address: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle_of(tmp_path / "run" / "bundle", {}, signals={"text": "text", "it": address})
    with pytest.raises(SystemExit) as ended:
        make(tmp_path / "run", tmp_path / "kit", "--owner", "someone")
    assert ended.value.code == 2
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "kit").exists()


def test_a_kit_is_made_from_the_source_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle_wheels, "RUNTIME", ("--no-index", "polars"))
    with pytest.raises(ConfigError, match="pip download failed"):
        kaggle_wheels.write_wheels(tmp_path / "wheels", "3.12", torch=False, whole=False)
    monkeypatch.setattr(kaggle_wheels, "ROOT", tmp_path)
    with pytest.raises(ConfigError, match="no checkout"):
        kaggle_wheels.write_wheels(tmp_path / "others", "3.12", torch=False, whole=False)
