import time
from threading import Barrier

import pytest

from featlab.threads import in_threads


def test_results_keep_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATLAB_THREADS", "4")

    def slow_first(item: int) -> int:
        time.sleep(0.02 * (3 - item))
        return item

    assert in_threads(slow_first, range(4)) == [0, 1, 2, 3]
    assert in_threads(slow_first, []) == []


def test_as_many_items_at_once_as_there_are_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATLAB_THREADS", "3")
    together = Barrier(3)
    in_threads(lambda _: together.wait(timeout=10), range(3))


def test_an_error_reaches_the_caller() -> None:
    def fail(item: int) -> int:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        in_threads(fail, [1])
