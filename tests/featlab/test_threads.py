import time
from threading import Barrier, get_ident

import pytest
from threadpoolctl import threadpool_info

from featlab.errors import ConfigError
from featlab.threads import in_threads, one_blas_thread, thread_count


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


def test_quick_work_starts_no_thread() -> None:
    assert in_threads(lambda _: get_ident(), range(3), quick=True) == [get_ident()] * 3


def test_linear_algebra_gets_one_thread_also_of_a_library_loaded_later() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with one_blas_thread():
        pass
    # Brings a library of its own beside NumPy's.
    import scipy.linalg  # noqa: F401

    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before


def test_a_number_of_threads_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("abc", "0", "-1", "1.5"):
        monkeypatch.setenv("FEATLAB_THREADS", wrong)
        with pytest.raises(ConfigError, match="give a number of threads"):
            thread_count()
    monkeypatch.setenv("FEATLAB_THREADS", "3")
    assert thread_count() == 3
