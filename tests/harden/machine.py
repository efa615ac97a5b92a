"""Run commands on a machine that refuses: no space, no rights, no memory, two at once.

``python -m tests.harden.machine``. What cannot be set up here is said with its reason.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from featlab.files import PART
from tests.harden.forked import Child, command
from tests.harden.kills import QUICK, _write_battles, digests

SENTENCE, FINE = 2, 0


@contextmanager
def small_disk(home: Path, options: str) -> Iterator[Path | None]:
    """Yield a file system of its own, or None where none may be mounted."""
    home.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        yield None
        return
    try:
        yield home
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


class Harness:
    """Runs commands, and complains about every end that is no end."""

    def __init__(self, root: Path, *, quick: bool) -> None:
        self.quick = quick
        self.root, self.data, self.run = root, root / "data", root / "run"
        self.failures = 0
        self.work(_write_battles(self.data), "make battles", FINE)
        self.work(self.train(self.run), "train", FINE)

    def train(self, run: Path) -> Callable[[], None]:
        return command("train_ensemble", "--data", self.data, "--run", run, *QUICK)

    def submit(self, out: Path) -> Callable[[], None]:
        test = self.data / "test.csv"
        return command("submit", "--run", self.run, "--test", test, "--out", out)

    def work(self, work: Callable[[], None], what: str, *expected: int, words: str = "") -> str:
        said = self.root / "said"
        said.unlink(missing_ok=True)
        status = Child(work, said).wait()
        text = said.read_text(errors="replace")
        held = status in expected and (status != SENTENCE or words in text)
        held = held and "Traceback" not in text and (status == FINE or "error: " in text)
        self.failures += not held
        print(f"{'held' if held else 'BROKE'}  {what}: status {status}", flush=True)
        if not held:
            print(text[-2000:])
        return text


def limited(kind: int, limit: int, work: Callable[[], None]) -> Callable[[], None]:
    """Return work that runs under a limit of the system's."""

    def inside() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(kind, (limit, limit))
        work()

    return inside


def full_disk(harness: Harness) -> None:
    for kilobytes in (64,) if harness.quick else (16, 64, 200, 400):
        with small_disk(harness.root / "disk", f"size={kilobytes}k") as disk:
            if disk is None:
                print("skipped  full disk: no file system may be mounted here")
                return
            what = f"train on a disk of {kilobytes} kB"
            harness.work(harness.train(disk / "run"), what, SENTENCE, words=str(disk))
            if left := list(disk.rglob(f".*{PART}")):
                harness.failures += 1
                print(f"BROKE  {what} left {left}")
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            harness.work(harness.train(disk / "run"), "the same with space again", FINE)
    with small_disk(harness.root / "disk", "size=4k") as disk:
        if disk:
            (disk / "filler").write_bytes(b"x" * 4096)
            out = disk / "out.csv"
            harness.work(harness.submit(out), "submit to a full disk", SENTENCE, words=str(out))


def read_only(harness: Harness) -> None:
    with small_disk(harness.root / "disk", "size=8m") as disk:
        if disk is None:
            print("skipped  read-only: no file system may be mounted here")
            return
        shutil.copytree(harness.run, disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        words = str(disk)
        harness.work(harness.train(disk / "run"), "train, read-only", SENTENCE, words=words)
        harness.work(harness.submit(disk / "x.csv"), "submit, read-only", SENTENCE, words=words)


def few_descriptors(harness: Harness) -> None:
    for count in (8,) if harness.quick else (8, 12, 16, 24, 64):
        for name, work in (
            ("train", harness.train(harness.root / "few")),
            ("submit", harness.submit(harness.root / "few.csv")),
        ):
            bounded = limited(resource.RLIMIT_NOFILE, count, work)
            harness.work(bounded, f"{name} with {count} open files", FINE, SENTENCE)


def little_memory(harness: Harness) -> None:
    """Start anew, as a person does: what a child inherits is loaded already."""
    for megabytes in (500,) if harness.quick else (200, 500, 1000, 2000):
        line = f"ulimit -v {megabytes * 1024}; ulimit -c 0; {sys.executable} -m pipelines.submit"
        line += f" --run {harness.run} --test {harness.data}/test.csv --out {harness.root}/m.csv"
        ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        held = ended.returncode in (FINE, SENTENCE) and "Traceback" not in ended.stderr
        harness.failures += not held
        print(f"{'held' if held else 'BROKE'}  {megabytes} MB: status {ended.returncode}")
        if not held:
            print(ended.stderr[-2000:])


def two_at_once(harness: Harness) -> None:
    for name, made in (("train", harness.root / "both"), ("submit", harness.root / "both.csv")):
        work = harness.train(made) if name == "train" else harness.submit(made)
        said = [harness.root / f"said.{number}" for number in range(2)]
        children = [Child(work, path) for path in said]
        statuses = sorted(child.wait() for child in children)
        held = statuses in ([FINE, FINE], [FINE, SENTENCE])
        one = harness.root / ("alone" if name == "train" else "alone.csv")
        harness.work(harness.train(one) if name == "train" else harness.submit(one), name, FINE)
        same = {key: value for key, value in digests(made).items() if key != "config.toml"}
        held = held and same.items() <= digests(one).items()
        harness.failures += not held
        print(f"{'held' if held else 'BROKE'}  two of {name} at once: {statuses}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="below 100, one size of every fault")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), quick=options.n < 100)
        for fault in (full_disk, read_only, few_descriptors, little_memory, two_at_once):
            fault(harness)
        if harness.failures:
            sys.exit(f"{harness.failures} ended otherwise than by their work or one sentence")


if __name__ == "__main__":
    main()
