"""Who is told of long work, and how often."""

from contextlib import AbstractContextManager, nullcontext

import pytest

import featlab.progress
from featlab.progress import Advance, NotedProgress, Progress, report_to


class Kept:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def task(self, title: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(lambda done, remark="", /: None)


@pytest.mark.parametrize(("interval", "told"), [(0.0, [1, 2, 3, 4]), (60.0, [])])
def test_long_work_is_told_to_whoever_watches_and_short_work_is_not(
    interval: float, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(featlab.progress, "_reporter", featlab.progress._reporter)
    kept = Kept()
    report_to(kept)
    tell = NotedProgress(interval)
    steps = [Progress("encoding", done, 4, done / 4, float(done)) for done in range(1, 5)]
    for step in steps:
        tell(step)
    assert kept.notes == [str(steps[done - 1]) for done in told]
