"""Make one file of columns of each of many files, keep what is made already, and say how it went.

Beside every shard lies a record in ``records/`` with a key (the fingerprints of
the source, the task and the code) and the checksum of the shard. A shard is kept
while its key is the same and its bytes are what the record says; shard and
record are each written whole or not at all. So a kill costs the shard in hand,
and workers on several machines need nothing but the folder between them.

polars works on all cores within a shard, so on one machine shards are made in turn.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from featlab.errors import BattleError, ConfigError, FeatlabError
from featlab.files import atomic_path, file_fingerprint, read_json, value_fingerprint, write_json
from featlab.progress import NotedProgress, Progress, ProgressCallback
from featlab.shards.tasks import ShardTask
from featlab.versions import versions

RECORDS = "records"
MANIFEST = "manifest.json"


class ShardError(FeatlabError):
    """Some shards could not be made; the others were."""


@dataclass(frozen=True)
class Shard:
    """A source, the shard's name below its folder, and where shard and record go."""

    source: Path
    name: str
    target: Path
    record: Path


@dataclass(frozen=True)
class Made:
    """What came of one shard, called `name` below the folder of shards.

    `seconds` is what making it took, 0 where it was `kept`; `error` says why there
    is no such shard, and so no row and no checksum.
    """

    source: str
    name: str
    rows: int = 0
    seconds: float = 0.0
    kept: bool = False
    error: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ShardReport:
    """What came of every shard, in the order of the sources, and the wall time of the whole."""

    made: tuple[Made, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Made, ...]:
        """The shards that could not be made."""
        return tuple(made for made in self.made if made.error is not None)

    @property
    def rows(self) -> int:
        """Rows in all shards, made or kept."""
        return sum(made.rows for made in self.made)

    @property
    def rows_per_second(self) -> float:
        """Rows made, not kept, over the wall time."""
        new = sum(made.rows for made in self.made if not made.kept)
        return new / self.seconds if self.seconds > 0 else 0.0

    def raise_failed(self) -> None:
        """Raise what failed, if anything did.

        Raises
        ------
        ShardError
            Names every source that could not be used, and why.
        """
        reasons = [
            str(made.error) if made.source in str(made.error) else f"{made.source}: {made.error}"
            for made in self.failed
        ]
        if reasons:
            raise ShardError(
                f"{len(reasons)} of {len(self.made)} shards failed, the others are there: "
                f"{'; '.join(reasons)}"
            )


Workers = Callable[[Sequence[Shard], ShardTask, str], Iterable[Made]]
"""Makes all shards of a task by `make_shard`, in any order; the text is a fingerprint."""


def find_sources(pattern: str) -> list[Path]:
    """Find the files that a shell's pattern names, in order; ``**`` is any folders between.

    Raises
    ------
    ConfigError
        When it names none, or something that is neither CSV nor parquet.
    """
    # Path.glob knows no absolute patterns.
    files = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
    files = [file for file in files if file.is_file()]
    if not files:
        raise ConfigError(f"no file matches {pattern}; quote it, so that the shell leaves it alone")
    for file in files:
        if file.suffix not in (".csv", ".parquet"):
            raise ConfigError(f"{file} is neither .csv nor .parquet; narrow the pattern {pattern}")
    return files


def plan_shards(sources: Sequence[Path], folder: Path) -> list[Shard]:
    """Give each source the same path below `folder` as below the sources' common folder.

    Raises
    ------
    ConfigError
        When two sources would give the same shard, or a shard would replace a source.
    """
    if not sources:
        return []
    common = Path(os.path.commonpath([source.absolute().parent for source in sources]))
    shards: dict[Path, Shard] = {}
    for source in sources:
        name = source.absolute().relative_to(common).with_suffix(".parquet")
        if name.parts[0] == RECORDS and len(name.parts) > 1:
            raise ConfigError(f"{source}: a folder of sources must not be called '{RECORDS}'")
        target = folder / name
        if target in shards:
            raise ConfigError(f"{shards[target].source} and {source} would both become {target}")
        if target.absolute() == source.absolute():
            raise ConfigError(f"{target} would replace its own source; name another folder")
        record = folder / RECORDS / name.with_suffix(".json")
        shards[target] = Shard(source, name.as_posix(), target, record)
    return list(shards.values())


def make_shards(
    sources: Sequence[Path],
    folder: Path,
    task: ShardTask,
    *,
    code: str = "",
    on_progress: ProgressCallback | None = None,
    workers: Workers | None = None,
) -> ShardReport:
    """Make a shard in `folder` of each source, keeping those that are there already.

    Parameters
    ----------
    sources : sequence of Path
        Files of battles. Ids may repeat between them; within one they must not.
    folder : Path
        Gets a parquet file a source, ``records/``, and ``manifest.json``: what stands
        in that belongs together; a folder may hold shards of sources that are gone.
    task : ShardTask
        What to make of a source.
    code : str
        Fingerprint of code that the task's own fingerprint does not cover.
    on_progress : callable of featlab.progress.Progress, optional
        Called after every shard; its share is of the sources' bytes. By default
        a line is logged now and then.
    workers : callable, optional
        Makes the shards elsewhere; by default they are made here in turn.

    Returns
    -------
    ShardReport
        A source that cannot be used stands in it as failed; the others are made.

    Raises
    ------
    ConfigError
        When two sources would give the same shard.
    WeightsError, StoreError
        When the task cannot work on any shard.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from featlab.generated import write_battles
    >>> from featlab.shards import FeatureShards
    >>> folder = Path(mkdtemp())
    >>> _ = write_battles(folder, 5, 5, seed=1)
    >>> make_shards([folder / "train.csv"], folder / "shards", FeatureShards()).rows
    5
    """
    shards = plan_shards(sources, folder)
    fingerprint = value_fingerprint([task.fingerprint(), code])
    in_turn = (make_shard(shard, task, fingerprint) for shard in shards)
    tell = NotedProgress() if on_progress is None else on_progress
    sizes = {
        shard.name: max(shard.source.stat().st_size, 1) if shard.source.is_file() else 1
        for shard in shards
    }
    start, read = time.monotonic(), 0
    found: dict[str, Made] = {}
    for made in workers(shards, task, fingerprint) if workers else in_turn:
        found[made.name] = made
        read += sizes[made.name]
        share, seconds = read / sum(sizes.values()), time.monotonic() - start
        tell(Progress("making shards", len(found), len(shards), share, seconds))
    report = ShardReport(tuple(found[shard.name] for shard in shards), time.monotonic() - start)
    manifest = {
        "rows": report.rows,
        "failed": len(report.failed),
        "seconds": round(report.seconds, 3),
        "versions": versions(),
        "shards": [
            {key: value for key, value in asdict(made).items() if value is not None}
            for made in report.made
        ],
    }
    write_json(folder / MANIFEST, manifest)
    return report


def make_shard(shard: Shard, task: ShardTask, fingerprint: str) -> Made:
    """Make a shard unless it is there already; a source that cannot be used is told, not raised.

    The fingerprint is of the task and of its code. No older shard is left of a
    source that cannot be used.
    """
    start = time.monotonic()
    source = str(shard.source)
    try:
        if not shard.source.is_file():
            raise BattleError("there is no such file", source=source)
        key = value_fingerprint([file_fingerprint(shard.source), fingerprint])
        known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            known = read_json(shard.record)
        if known.get("key") == key and shard.target.is_file():
            checksum = file_fingerprint(shard.target)
            if checksum == known["sha256"]:
                return Made(source, shard.name, known["rows"], kept=True, sha256=checksum)
        with atomic_path(shard.target) as path:
            task.write(shard.source, path)
            checksum = file_fingerprint(path)
            rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    except (BattleError, pl.exceptions.PolarsError, OSError) as error:
        shard.record.unlink(missing_ok=True)
        shard.target.unlink(missing_ok=True)
        return Made(source, shard.name, error=str(error) or type(error).__name__)
    seconds = time.monotonic() - start
    record = {"source": source, "key": key, "sha256": checksum, "rows": rows}
    write_json(shard.record, {**record, "seconds": round(seconds, 3)})
    return Made(source, shard.name, rows, seconds, sha256=checksum)
