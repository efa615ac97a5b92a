"""Kill every command at random moments, go on, and compare with a run that nobody killed.

``python -m tests.harden.kills --n 200``: so many kills in all. After each chain of
kills the command runs to its end. Then every file it makes has the bytes of the
unkilled run, no stage that had ended was made again, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from featlab.files import PART
from tests.harden.forked import Child, command, run

QUICK = (
    *("--preset", "fast", "--signals", "text", "identity", "--folds", "3"),
    *("--trials", "2", "--repeats", "1", "--fold-repeats", "0", "--families", "verbosity"),
)
# Times, the journal's own dates, and the lock differ from run to run.
OWN = {"manifest.json", "study.journal", ".lock", "study.png"}


@dataclass(frozen=True)
class Scene:
    """A command, where it writes, and the share of all kills that it gets."""

    name: str
    arguments: tuple[str | Path, ...]
    made: Path
    share: float
    before: Path | None = None


def digests(made: Path) -> dict[str, str]:
    files = [made] if made.is_file() else [path for path in made.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(made)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in OWN and not _timed(path)
    }


def _timed(path: Path) -> bool:
    """Say whether it is a shard's record, which holds how long it took."""
    return path.parent.name == "records"


def stages(made: Path) -> dict[str, float]:
    """Return stage -> its seconds, of a run that may be torn anywhere."""
    manifest = made / "manifest.json"
    if not manifest.is_file() or made.name != "run":
        return {}
    return {
        name: stage["seconds"] for name, stage in json.loads(manifest.read_text())["stages"].items()
    }


def scenes(root: Path) -> list[Scene]:
    """Make the inputs of every command."""
    data, run_folder, said = root / "data", root / "trained" / "run", root / "said"
    status = Child(_write_battles(data), said).wait()
    status |= run(said, "train_ensemble", "--data", data, "--run", run_folder, *QUICK)
    if status:
        sys.exit(said.read_text())
    files = root / "files"
    files.mkdir()
    for number in range(6):
        shutil.copyfile(data / "train.csv", files / f"{number}.csv")
    work = root / "work"
    out = work / "submission.csv"
    return [
        Scene(
            "train_ensemble", ("--data", data, "--run", work / "run", *QUICK), work / "run", 0.35
        ),
        Scene("features", ("--data", data, "--run", work / "run"), work / "run", 0.2),
        Scene(
            "submit",
            ("--run", run_folder, "--test", data / "test.csv", "--out", out),
            out,
            0.2,
        ),
        Scene(
            "shard_features",
            ("--shards", f"{files}/*.csv", "--out", work / "shards", "--families", "verbosity"),
            work / "shards",
            0.2,
        ),
        Scene(
            "learning_curve",
            ("--run", work / "run", "--shares", "0.5", "0.75", "1.0", "--draws", "1"),
            work / "run",
            0.05,
            run_folder,
        ),
    ]


def _write_battles(data: Path):  # type: ignore[no-untyped-def]
    def work() -> None:
        from featlab.generated import write_battles

        write_battles(data, 90, 30, seed=5)

    return work


def fresh(scene: Scene) -> None:
    work = scene.made.parent
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    if scene.before:
        shutil.copytree(scene.before, scene.made)


def phase(said: Path, made: Path) -> str:
    """Say where a killed command was: behind which line, and whether it was writing."""
    lines = said.read_text(errors="replace").splitlines() if said.is_file() else []
    ended = [line.split(":")[0] for line in lines if ": done in" in line or ": unchanged" in line]
    writing = any(made.parent.rglob(f".*{PART}"))
    return f"after {ended[-1] if ended else 'the start'}" + (", writing" if writing else "")


def kill(scene: Scene, kills: int, chance: random.Random, said: Path) -> tuple[Counter[str], int]:
    """Kill a command so many times, in chains; return the phases and how many chains there were."""
    fresh(scene)
    said.unlink(missing_ok=True)
    whole = Child(command(scene.name, *scene.arguments), said)
    if whole.wait():
        sys.exit(f"{scene.name} fails without a kill: {said.read_text()}")
    seconds = max(whole_seconds(whole), 0.05)
    expected, phases, chains = digests(scene.made), Counter[str](), 0
    done = 0
    while done < kills:
        fresh(scene)
        chains += 1
        ended: dict[str, float] = {}
        for _ in range(chance.randint(1, 4)):
            said.unlink(missing_ok=True)
            child = Child(command(scene.name, *scene.arguments), said)
            if not child.kill_after(chance.uniform(0, seconds)):
                break
            done += 1
            phases[phase(said, scene.made)] += 1
            now = stages(scene.made)
            check(ended.items() <= now.items(), f"{scene.name}: {ended} became {now}")
            ended = now
        said.unlink(missing_ok=True)
        status = Child(command(scene.name, *scene.arguments), said).wait()
        check(status == 0, f"{scene.name}: status {status} after kills: {said.read_text()}")
        check(ended.items() <= stages(scene.made).items(), f"{scene.name}: made {ended} again")
        found = digests(scene.made)
        other = {name for name in expected | found if expected.get(name) != found.get(name)}
        check(not other, f"{scene.name}: {sorted(other)} differ from the unkilled run's")
        left = [*scene.made.parent.rglob(f".*{PART}")]
        check(not left, f"{scene.name}: left {left}")
    return phases, chains


def whole_seconds(child: Child) -> float:
    return time.monotonic() - child.start


def check(holds: bool, said: str) -> None:
    if not holds:
        sys.exit(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root, total = Path(folder), 0
        for scene in scenes(root):
            kills = round(options.n * scene.share)
            if kills and options.only in (None, scene.name):
                phases, chains = kill(scene, kills, chance, root / "said")
                total += phases.total()
                print(f"{scene.name}: {phases.total()} kills in {chains} chains, same bytes")
                for name, count in phases.most_common():
                    print(f"  {count:>4}  {name}")
        print(f"{total} kills: nothing lost, torn, made twice or left behind")


if __name__ == "__main__":
    main()
