"""Feed every reader damaged and hostile files, and count how that ends.

``python -m tests.harden.fuzz --n 100000``: so many inputs in all, seeded. Valid
means that the reader took the file, refused that a `FeatlabError` (or what
`run_command` turns into a sentence) says why not. Everything else is a failure:
a traceback, a crash of native code, or a child that hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from featlab.battles import ARENA, BattleSchema, check_battles, explained, read_battles
from featlab.encoder import MINILM
from featlab.errors import FeatlabError
from featlab.files import read_json
from featlab.generated import generate_battles
from featlab.signals import find_signal, load_signal, load_state
from featlab.vectors import content_keys, open_store
from models.stacking.bundle import load_bundle
from models.stacking.kernel import Kernel
from models.stacking.search import open_study
from models.stacking.tree_text import read_booster
from pipelines.run.finished import finished_run
from pipelines.run.folder import RunFolder
from pipelines.run.settings import TrainSettings
from tests.harden.forked import HUNG, Child, run
from tests.harden.kills import QUICK, _write_battles
from tests.harden.mutations import changed_file
from tests.layouts import write_layout

BATCH = 250
SECONDS_OF_AN_INPUT = 20
MEMORY = 6 << 30
"""Address space of a child: what a few bytes may claim must not be believed."""

REFUSED = (FeatlabError, OSError, PolarsError, PanicException, MemoryError)
"""What `pipelines.run.console.run_command` turns into one sentence."""


@dataclass(frozen=True)
class Target:
    """A reader with the files that it is fed.

    Parameters
    ----------
    name : str
    files : list of Path
        One of them is mutated at a time.
    read : callable
        Called with nothing; reads the files where they lie.
    share : float
        Of all inputs.
    mend : callable, optional
        Called after a mutation: what an attacker would do to have it believed.
    """

    name: str
    files: list[Path]
    read: Callable[[], object]
    share: float
    mend: Callable[[], None] | None = None


def feed(target: Target, seed: int, count: int, told: int) -> None:
    """In a child: mutate, read, tell one letter an input, put back."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    chance = random.Random(seed)
    for _ in range(count):
        file = chance.choice(target.files)
        content = file.read_bytes()
        kept = {path: path.read_bytes() for path in target.files}
        file.write_bytes(changed_file(file.name, content, chance))
        if target.mend and chance.random() < 0.8:
            target.mend()
        try:
            target.read()
            outcome = b"v"
        except REFUSED:
            outcome = b"r"
        except BaseException as error:
            outcome = b"t"
            traceback.print_exc()
            print(f"{target.name}: {file}: {error!r}", file=sys.stderr)
        os.write(told, outcome)
        for path, before in kept.items():
            path.write_bytes(before)


def batch(target: Target, seed: int, count: int, said: Path) -> Counter[str]:
    """Return how one child's inputs ended; a child that dies loses the input it had."""
    outcomes: Counter[str] = Counter()
    kept = {path: path.read_bytes() for path in target.files}
    while (left := count - outcomes.total()) > 0:
        ours, theirs = os.pipe()
        child = Child(lambda: feed(target, seed, left, theirs), said)  # noqa: B023
        os.close(theirs)
        status = child.wait(SECONDS_OF_AN_INPUT + left / 4)
        letters = b""
        while part := os.read(ours, 1 << 16):
            letters += part
        os.close(ours)
        for letter, name in ((b"v", "valid"), (b"r", "refused"), (b"t", "traceback")):
            outcomes[name] += letters.count(letter)
        if len(letters) < left:
            outcomes["hang" if status == HUNG else f"crash {status}"] += 1
            print(f"{target.name}: seed {seed}, input {len(letters)}: {status}")
            for path, before in kept.items():
                path.write_bytes(before)
            seed += 10**6
    return outcomes


def targets(root: Path) -> Iterator[Target]:
    """Make every reader's files, and yield the readers."""
    data, run_folder, said = root / "data", root / "run", root / "said"
    status = Child(_write_battles(data), said).wait()
    arguments = [*QUICK, "--signals", "text", "lexical", "identity"]
    status |= run(said, "train_ensemble", "--data", data, "--run", run_folder, *arguments)
    if status:
        sys.exit(said.read_text())
    folder = RunFolder(run_folder)
    yield from _of_bundle(folder.bundle)
    yield from _of_run(folder)
    yield from _of_store(root / "store")
    yield from _of_inputs(root / "inputs")
    yield _of_trees(root / "trees")


def _of_bundle(bundle: Path) -> Iterator[Target]:
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    manifest = bundle / "manifest.json"

    def mend() -> None:
        try:
            value = json.loads(manifest.read_bytes())
            for path in files:
                if path != manifest:
                    name = path.relative_to(bundle).as_posix()
                    value["sha256"][name] = sha256(path.read_bytes()).hexdigest()
            manifest.write_text(json.dumps(value))
        except (ValueError, TypeError, KeyError, RecursionError):
            pass

    yield Target("bundle", files, lambda: load_bundle(bundle), 0.005, mend)
    for name in ("text", "lexical", "identity"):
        home = bundle / "signals" / name / "0"
        kind = find_signal(name)
        yield Target(
            f"state of {name}",
            sorted(home.glob("*")),
            lambda kind=kind, home=home: load_signal(kind, home),
            0.02 if name == "lexical" else 0.03,
        )
    home = bundle / "kernel"

    def kernel() -> None:
        try:
            Kernel.from_state(load_state(home, "kernel"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # As models.stacking.bundle.load_bundle says it.
            raise FeatlabError(str(error)) from error

    yield Target("state of the kernel", sorted(home.glob("*")), kernel, 0.03)


def _of_run(folder: RunFolder) -> Iterator[Target]:
    files = [folder.manifest, folder.config, folder.search, folder.metrics]
    yield Target("run", files, lambda: finished_run(folder), 0.05)
    study = read_json(folder.search)["study"]

    yield Target("study.journal", [folder.journal], lambda: open_study(folder.journal, study), 0.05)
    settings = folder.path.parent / "settings.toml"
    settings.write_bytes(folder.config.read_bytes())
    yield Target(
        "settings",
        [settings],
        lambda: TrainSettings.load(["--config", str(settings)], "fuzz"),
        0.05,
    )


def _of_store(root: Path) -> Iterator[Target]:
    keys = content_keys("text", [b"%d" % number for number in range(20)])
    vectors = np.random.default_rng(0).normal(size=(20, 8))
    open_store(root, MINILM).append(keys, vectors)
    home = root / MINILM.id
    (segment,) = home.glob("*.npy")

    def read() -> None:
        store = open_store(root, MINILM, read_only=True)
        store.read(keys[~store.missing(keys)])

    yield Target("store", [segment, home / "spec.json"], read, 0.03)

    def read_renamed() -> None:
        """Read as an attacker would name it: the name is the checksum."""
        content = segment.read_bytes()
        other = home / f"{blake2b(content, digest_size=16).hexdigest()}.npy"
        other.write_bytes(content)
        try:
            read()
        finally:
            other.unlink()
            segment.write_bytes(content)

    yield Target("store, checksum mended", [segment], read_renamed, 0.05)


def _of_inputs(home: Path) -> Iterator[Target]:
    home.mkdir()

    def make() -> None:
        frame = generate_battles(6, seed=3).train
        frame.write_parquet(home / "train.parquet")
        lists = pl.col(pl.List(pl.String))
        as_json = lists.map_elements(lambda turns: json.dumps(list(turns)), pl.String)
        frame.with_columns(as_json).write_csv(home / "train.csv")
        write_layout("arena-140k", read_battles(frame).collect(), home / "train.jsonl")

    # The threads of polars begin in a child: a forked process must not inherit them.
    Child(make, home / "said").wait()
    for ending, schema, share in (
        ("csv", ARENA, 0.1275),
        ("parquet", ARENA, 0.1275),
        ("jsonl", None, 0.04),
    ):
        path = home / f"train.{ending}"

        def read(path: Path = path, schema: BattleSchema | None = schema) -> None:
            check_battles(path, schema)
            with explained(path, schema):
                read_battles(path, schema).collect()

        yield Target(f"battles, {ending}", [path], read, share)


def _of_trees(home: Path) -> Target:
    home.mkdir()
    chance = np.random.default_rng(0)
    matrix = chance.normal(size=(120, 6)).astype(np.float32)
    names = [f"column_{number}" for number in range(6)]
    labels = chance.integers(0, 3, 120)
    parameters = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}
    parameters |= {"num_leaves": 6, "min_data_in_leaf": 5}
    path = home / "0.txt"

    def make() -> None:
        data = lgb.Dataset(matrix, labels, feature_name=names)
        path.write_text(lgb.train(parameters, data, 3).model_to_string())

    Child(make, home / "said").wait()

    def read() -> None:
        booster = read_booster(path.read_bytes(), names, path.name)
        booster.predict(matrix[:5], num_threads=1)
        booster.predict(matrix[:2], pred_contrib=True, num_threads=1)

    return Target("trees", [path], read, 0.36)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    options = parser.parse_args()
    table: dict[str, Counter[str]] = {}
    root = Path(tempfile.mkdtemp())
    said = root / "outcomes.txt"
    start = time.monotonic()
    try:
        for target in targets(root):
            if options.only and not re.search(options.only, target.name):
                continue
            count, seed = max(round(options.n * target.share), 1), options.seed
            outcomes = table[target.name] = Counter()
            while (left := count - outcomes.total()) > 0:
                outcomes += batch(target, seed, min(left, BATCH), said)
                table[target.name] = outcomes
                seed += 1
            print(f"{time.monotonic() - start:5.0f} s  {target.name}: {dict(outcomes)}", flush=True)
    finally:
        complaints = said.read_text(errors="replace") if said.is_file() else ""
        shutil.rmtree(root)
    print(f"\n{'reader':<26}{'inputs':>8}{'valid':>8}{'refused':>9}{'else':>6}")
    failures = 0
    for name, outcomes in table.items():
        rest = outcomes.total() - outcomes["valid"] - outcomes["refused"]
        failures += rest
        row = f"{outcomes.total():>8}{outcomes['valid']:>8}{outcomes['refused']:>9}{rest:>6}"
        print(f"{name:<26}{row}")
    total = sum(outcomes.total() for outcomes in table.values())
    print(f"{total:,} inputs, seed {options.seed}, {time.monotonic() - start:.0f} s")
    if failures:
        lines = complaints.splitlines()
        sys.exit("\n".join(lines[-80:]) + f"\n{failures} inputs ended otherwise")


if __name__ == "__main__":
    main()
