"""Damaged files of one's own: mended, made again, or named in one sentence."""

from __future__ import annotations

import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from featlab.encoder import MINILM
from featlab.errors import ConfigError, FileError
from featlab.files import read_json
from featlab.vectors import content_keys, open_store
from models.stacking.search import open_study
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.run import open_run, read_manifest
from pipelines.run.settings import TrainSettings


@pytest.mark.parametrize("tail", [b'{"op_code":6,"trial_id', b"\x00" * 50, b"{}", b"9\n"])
def test_a_torn_journal_keeps_its_trials(
    trained: Path, tmp_path: Path, tail: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("models.stacking.search.note", said.append)
    journal, name = tmp_path / "study.journal", read_json(trained / "search.json")["study"]
    whole = (trained / "study.journal").read_bytes()
    journal.write_bytes(whole + tail)
    study = open_study(journal, name)
    assert len(study.trials) == len(open_study(trained / "study.journal", name).trials)
    assert journal.read_bytes() == whole
    assert f"{len(tail)} bytes" in said[0]
    # Torn in the middle of a trial.
    journal.write_bytes(whole[: len(whole) * 2 // 3])
    study = open_study(journal, name)
    study.tell(study.ask(), state=TrialState.FAIL)
    assert len(open_study(journal, name).trials) == len(study.trials)


def test_a_journal_of_nonsense_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    journal, name = tmp_path / "study.journal", read_json(trained / "search.json")["study"]
    journal.write_bytes((trained / "study.journal").read_bytes().replace(b'"trial_id":', b'"x":'))
    with pytest.raises(FileError, match="remove it"):
        open_study(journal, name)


@pytest.mark.parametrize("content", ['{"stages": {"text"', "[]", '{"stages": {"text": 1}}', "\0"])
def test_a_torn_manifest_of_a_run_is_remade(tmp_path: Path, content: str) -> None:
    (tmp_path / "in").write_text("1")
    made: list[str] = []

    def copy(*, source: Path, target: Path) -> None:
        made.append(source.name)
        target.write_bytes(source.read_bytes())

    for _ in range(2):
        with open_run(tmp_path / "run", "") as run:
            run.stage(
                "copy",
                copy,
                inputs={"source": tmp_path / "in"},
                outputs={"target": tmp_path / "run" / "out"},
            )
        if len(made) == 1:
            (tmp_path / "run" / "manifest.json").write_text(content)
            assert read_manifest(RunFolder(tmp_path / "run")) == {"stages": {}}
    assert len(made) == 2


@pytest.mark.parametrize("name", ["metrics.json", "oof.parquet", "folds.parquet", "config.toml"])
def test_a_damaged_run_is_not_looked_back_at(trained: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    finished_run(RunFolder(run))
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 0x80
    (run / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        finished_run(RunFolder(run))


@pytest.mark.parametrize("content", [b"seed = \xff", b"seed =", b"x = " + b"[" * 20_000])
def test_settings_that_are_no_toml_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainSettings.load(["--config", str(tmp_path / "x.toml")], "x")


def segment(home: Path, records: np.ndarray[Any, Any]) -> None:
    np.save(home / "x.npy", records)
    digest = blake2b((home / "x.npy").read_bytes(), digest_size=16).hexdigest()
    (home / "x.npy").rename(home / f"{digest}.npy")


def test_vectors_that_are_none_count_as_absent(tmp_path: Path) -> None:
    open_store(tmp_path, MINILM)
    home = tmp_path / MINILM.id
    for dimension, value in ((0, 0.0), (3, np.nan), (3, np.inf)):
        records = np.zeros(2, [("key", "V16"), ("vector", "<f2", (dimension,))])
        records["vector"] = value
        segment(home, records)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': ((((\n"
    (home / f"{blake2b(header, digest_size=16).hexdigest()}.npy").write_bytes(header)
    (home / "link.npy").symlink_to("/dev/zero")
    os.mkfifo(home / "pipe.npy")
    store = open_store(tmp_path, MINILM, read_only=True)
    assert len(store.torn) == 6
    assert store.missing(content_keys("text", [b"x"])).all()
