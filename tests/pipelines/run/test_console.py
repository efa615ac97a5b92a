"""What a person sees of long work: lines now and then where there is no terminal."""

import time

import pytest

from pipelines.run import console


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
