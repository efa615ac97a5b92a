"""What a person sees of long work: lines now and then where there is no terminal."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from pipelines.run import console
from pipelines.run.command_settings import CommandSettings
from pipelines.run.settings import ExplainSettings, FeatureSettings, PlaySettings, TrainSettings

ROOT = Path(__file__).parents[3]


def test_without_a_terminal_a_task_writes_a_line_every_so_often_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.ConsoleReporter().task("training", 100) as advance:
        for done in range(1, 101):
            now[0] += 1.0
            advance(done, f"fold {done // 20}")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training (fold 1): 30 of 100 (30%), 1:10 left",
        "training (fold 3): 60 of 100 (60%), 0:40 left",
        "training (fold 4): 90 of 100 (90%), 0:10 left",
    ]


def test_work_without_steps_says_now_and_then_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.05)
    reporter = console.ConsoleReporter()
    with reporter.work("blend"):
        time.sleep(0.4)
    with reporter.work("moment"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 8
    assert set(lines) == {"blend: at work for 0:00"}


@pytest.mark.parametrize(
    ("settings", "goes_on"),
    [
        (TrainSettings, True),
        (FeatureSettings, True),
        (PlaySettings, False),
        (ExplainSettings, False),
    ],
)
def test_only_commands_that_keep_their_work_are_said_to_go_on(
    settings: type[CommandSettings], goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.run_command(lambda _: os.kill(os.getpid(), signal.SIGINT), settings, "x", [])
    said = capsys.readouterr().err
    assert ended.value.code == 130
    assert said.startswith("interrupted")
    assert ("go on from here" in said) is goes_on


def test_a_torn_config_of_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        console.run_command(
            lambda _: tomllib.loads("trials ="), PlaySettings, "x", ["--run", str(tmp_path)]
        )
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'config.toml'} is not as train-ensemble wrote it; train again\n"
    )


def test_a_pipe_that_a_table_finds_closed_ends_quietly() -> None:
    program = (
        "import polars as pl, sys; from pipelines.run import console, command_settings; "
        "table = pl.DataFrame({'a': range(200_000)}); "
        "console.run_command(lambda _: table.write_csv(sys.stdout), "
        "command_settings.CommandSettings, 'x', [])"
    )
    line = f'"{sys.executable}" -c "{program}" | head -1; exit ${{PIPESTATUS[0]}}'
    ended = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, b"a\n", b"")
