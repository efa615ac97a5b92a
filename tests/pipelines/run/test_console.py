"""What a person sees of long work: lines now and then where there is no terminal."""

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
