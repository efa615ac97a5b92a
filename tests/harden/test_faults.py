"""Each fault that was once seen, as the smallest input that shows it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from pydantic import TypeAdapter

from featlab.encoder import MINILM
from featlab.errors import BundleError, ConfigError, FeatlabError, FileError, visible
from featlab.files import PART, atomic_path, check_output, read_json, write_json
from featlab.signals import load_state
from featlab.vectors import content_keys, open_store
from models.checked_json import checked_json
from models.stacking.bundle import load_bundle
from models.stacking.search import open_study
from models.stacking.tree_text import checked_text, read_booster
from pipelines.run.console import run_command
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.run import open_run, read_manifest
from pipelines.run.settings import CommandSettings, SubmitSettings, TrainSettings
from pipelines.submit import main as submit
from tests.harden.conftest import ROOT

CASES = Path(os.environ.get("FEATLAB_TEST_CASES", "/nowhere"))


def ended(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str]:
    """Return the status of a command and its message, which is one line."""
    settings = SubmitSettings if command is submit else CommandSettings
    with pytest.raises(SystemExit) as caught:
        run_command(command, settings, "x", [str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert said.count("\n") <= 1
    assert isinstance(caught.value.code, int)
    return caught.value.code, said.strip()


# A stranger's bundle.


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


# LightGBM's text.

NAMES = ("x", "y")
TREE = """num_leaves=3
num_cat=0
split_feature=0 1
split_gain=1 1
threshold=0.5 0.5
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=0.1 0.2 0.3
leaf_weight=1 1 1
leaf_count=1 1 1
internal_value=0 0
internal_weight=0 0
internal_count=3 2
is_linear=0
shrinkage=1


"""


def model(tree: str = TREE, **header: str) -> bytes:
    trees = [f"Tree={number}\n{text}" for number, text in enumerate([tree, TREE, TREE])]
    lines = {
        "version": "v4",
        "num_class": "3",
        "num_tree_per_iteration": "3",
        "label_index": "0",
        "max_feature_idx": "1",
        "objective": "multiclass num_class:3",
        "feature_names": "x y",
        "feature_infos": "[0:1] [0:1]",
        "tree_sizes": " ".join(str(len(text)) for text in trees),
        **header,
    }
    stated = "".join(f"{key}={value}\n" for key, value in lines.items() if value != "left out")
    return f"tree\n{stated}\n{''.join(trees)}end of trees\n\nparameters:\n".encode()


def test_a_model_of_ours_is_read_without_what_follows_its_trees() -> None:
    assert checked_text(model(), NAMES).endswith(b"end of trees\n")
    predicted = read_booster(model(), NAMES, "0.txt").predict(np.zeros((1, 2)))
    assert predicted == pytest.approx(np.full((1, 3), 1 / 3))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split_feature=0 1", "split_feature=0 99999"),
        ("split_feature=0 1", "split_feature=0 -1"),
        ("split_feature=0 1", "split_feature=0"),
        ("left_child=-1 -2", "left_child=77 -2"),
        ("left_child=-1 -2", "left_child=-99 -2"),
        ("left_child=-1 -2", "left_child=-1 0"),
        ("right_child=1 -3", "right_child=0 -3"),
        ("right_child=1 -3", "right_child=1 -2"),
        ("num_leaves=3", "num_leaves=4"),
        ("num_leaves=3", "num_leaves=0"),
        ("num_leaves=3", "num_leaves=2147483647"),
        ("num_cat=0", "num_cat=1"),
        ("decision_type=2 2", "decision_type=1 2"),
        ("leaf_value=0.1 0.2 0.3", "leaf_value=0.1 0.2 nan"),
        ("leaf_value=0.1 0.2 0.3", "leaf_value=0.1 0.2"),
        ("is_linear=0", "is_linear=1"),
        ("internal_count=3 2", "internal_count=3 2 1"),
        ("shrinkage=1", "shrinkage="),
    ],
)
def test_a_tree_that_leads_beyond_its_arrays_is_refused(old: str, new: str) -> None:
    assert old in TREE
    with pytest.raises(BundleError, match="tree 0"):
        read_booster(model(TREE.replace(old, new)), NAMES, "0.txt")


@pytest.mark.parametrize(
    "header",
    [
        {"tree_sizes": "left out"},
        {"tree_sizes": "1 2 3"},
        {"tree_sizes": "1000000 1 1"},
        {"num_tree_per_iteration": "0"},
        {"num_class": "2"},
        {"max_feature_idx": "5"},
        {"objective": "binary"},
        {"feature_names": "x"},
        {"feature_names": "y x"},
        {"feature_infos": "[0:1]"},
    ],
)
def test_a_header_that_lies_is_refused(header: dict[str, str]) -> None:
    with pytest.raises(BundleError, match=r"0\.txt"):
        read_booster(model(**header), NAMES, "0.txt")


# Damaged files of one's own.


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


@pytest.mark.skipif(not CASES.is_dir(), reason="FEATLAB_TEST_CASES names no folder of cases")
@pytest.mark.parametrize("name", ["torn_tail", "torn_mid_trial"])
def test_journals_that_were_really_torn_go_on(tmp_path: Path, name: str) -> None:
    journal = tmp_path / "study.journal"
    journal.write_bytes((CASES / f"optuna_journal_{name}.journal").read_bytes())
    first = json.loads(journal.read_bytes().splitlines()[0])
    study = open_study(journal, first["study_name"])
    assert len(study.trials) == 3
    study.tell(study.ask(), state=TrialState.FAIL)
    assert len(open_study(journal, first["study_name"]).trials) == 4


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


# The machine.


def test_outputs_are_checked_before_the_work_begins(
    data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = data / "test.csv"
    before = test.read_bytes()
    (tmp_path / "file").touch()
    for out in (test, tmp_path, tmp_path / "file" / "x.csv", Path("/proc/x.csv")):
        arguments = ("--run", trained, "--test", test, "--out", out)
        status, said = ended(submit, capsys, *arguments)
        assert (status, said.startswith("error: "), str(out) in said) == (2, True, True)
    assert test.read_bytes() == before
    (tmp_path / "same.csv").symlink_to(test)
    with pytest.raises(FileError, match="is read"):
        check_output(tmp_path / "same.csv", test)


def test_a_file_in_place_of_a_run_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="no place for a run"), open_run(tmp_path / "run", ""):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE])
def test_what_the_machine_refuses_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    target = tmp_path / "out.csv"

    def work(_: CommandSettings) -> None:
        with atomic_path(target) as path:
            path.write_text("half")
            raise OSError(number, os.strerror(number))

    status, said = ended(work, capsys)
    assert status == 2
    assert said.startswith(f"error: {target}: {os.strerror(number)}")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: CommandSettings) -> None:
        with Path("/dev/full").open("w") as stream:
            stream.write("x" * 100_000)

    assert ended(work, capsys) == (
        2,
        "error: No space left on device; free some space and run the command again",
    )


def test_a_closed_pipe_ends_quietly(python: Callable[..., Any]) -> None:
    line = f"{sys.executable} -m pipelines.features --list | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) in ((141, b""), (0, b""))


def test_what_a_terminal_lacks_is_escaped(python: Callable[..., Any], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    ended = python("pipelines.features", "--data", tmp_path / "数据", env=environment)
    assert ended.returncode == 2
    assert "\\u6570" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_command_with_their_status(
    capsys: pytest.CaptureFixture[str], number: int, status: int
) -> None:
    assert ended(lambda _: os.kill(os.getpid(), number), capsys)[0] == status
    child = subprocess.Popen(
        [sys.executable, "-m", "pipelines.submit"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.4)
    child.send_signal(number)
    said = child.communicate()[1]
    assert (child.returncode, said.count("\n"), "interrupted" in said) == (status, 1, True)


def test_too_little_memory_is_said_before_the_work(python: Callable[..., Any]) -> None:
    line = f"ulimit -v 500000; {sys.executable} -m pipelines.submit"
    ended = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, b"ulimit -v allows 488" in ended.stderr) == (2, True)


def test_what_killed_writers_left_is_swept_and_what_is_written_is_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    left = [tmp_path / f".a.csv.01234567{PART}", tmp_path / "sub" / f".b.76543210{PART}"]
    own = [tmp_path / ".a.csv.backup", tmp_path / f"a{PART}"]
    for path in (*left, *own):
        path.touch()
    with atomic_path(tmp_path / "living.csv") as living:
        with open_run(tmp_path, ""):
            pass
        assert [path.exists() for path in (*left, *own, living)] == [False, False, True, True, True]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == mode


def test_an_input_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("1")
    with open_run(tmp_path / "run", "") as run, pytest.raises(ConfigError, match="in changed"):
        run.stage(
            "touch",
            lambda source: source.write_text("2"),
            inputs={"source": source},
            outputs={},
        )


# Messages.


def test_messages_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: CommandSettings) -> None:
        raise FeatlabError("id \x1b[2J\u202ex\nerror: \x07" + "y" * 10**6 + "; do this")

    status, said = ended(work, capsys)
    assert status == 2
    assert said.isprintable()
    assert said.startswith("error: id \\x1b[2J\\u202ex\\nerror: \\x07yyy")
    assert said.endswith("; do this")
    assert len(said) < 2_100


@given(st.text())
def test_ordinary_messages_stay_as_they_are(message: str) -> None:
    assert visible(message).isprintable()
    assert visible(message) == message or not message.isprintable()


def test_long_texts_cost_what_their_beginning_costs() -> None:
    from featlab.signals.sparse_text import MOST_CHARACTERS, SparseText

    text = "word " * (MOST_CHARACTERS // 5)
    words = SparseText("word", 1, 1, bits=8)
    rows = words.vectors(pl.Series([text, text + "another end"]))
    assert (rows[0] != rows[1]).nnz == 0
