"""What the machine refuses, and how it is said."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlab.errors import ConfigError, FeatlabError, FileError, visible
from featlab.files import PART, atomic_path, check_output, write_json
from pipelines.run.command_settings import CommandSettings
from pipelines.run.console import run_command
from pipelines.run.run import open_run
from pipelines.run.settings import SubmitSettings
from pipelines.submit import main as submit
from tests.harden.conftest import ROOT


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
