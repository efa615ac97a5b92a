"""Files that several processes write into one folder."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from featlab.files import PART, atomic_path


def _write(folder: Path, name: str) -> None:
    for number in range(150):
        with atomic_path(folder / f"{name}-{number % 5}") as path:
            path.write_text("whole")


def test_writers_at_once_never_sweep_each_others_files(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_write, args=(tmp_path, name)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 20
    assert not list(tmp_path.glob(f"*{PART}"))


def test_a_pipe_stays_a_pipe_and_a_link_a_link(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        with atomic_path(pipe) as path:
            path.write_text("whole")
        assert read.result(10) == "whole"
    assert pipe.is_fifo()
    (tmp_path / "real").write_text("before")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    with atomic_path(link) as path:
        path.write_text("after")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "after"
