"""Make shards one after another on this machine, and say how that went.

polars works on all cores within a shard, so shards are not made side by side.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from featlab.errors import ConfigError
from featlab.files import read_json, value_fingerprint, write_json
from featlab.progress import LoggedProgress, Progress, ProgressCallback
from featlab.shards.making import Made, Shard, ShardError, make_shard, plan_shards
from featlab.shards.tasks import ShardTask
from featlab.versions import versions

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ShardReport:
    """What came of every shard, in the order of the sources.

    Parameters
    ----------
    made : tuple of Made
    seconds : float
        Wall time of the whole.
    """

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
        if self.failed:
            reasons = "; ".join(
                made.error if made.source in str(made.error) else f"{made.source}: {made.error}"
                for made in self.failed
                if made.error is not None
            )
            raise ShardError(
                f"{len(self.failed)} of {len(self.made)} shards failed, the others are there: "
                f"{reasons}"
            )


def find_sources(pattern: str) -> list[Path]:
    """The files that a pattern names, in the order of their paths.

    Parameters
    ----------
    pattern : str
        As the shell's, ``**`` for any folders between.

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


def make_shards(
    sources: Sequence[Path],
    folder: Path,
    task: ShardTask,
    *,
    code: str = "",
    on_progress: ProgressCallback | None = None,
) -> ShardReport:
    """Make a shard in `folder` of each source, keeping those that are there already.

    Parameters
    ----------
    sources : sequence of Path
        Files of battles. Ids may repeat between them; within one they must not.
    folder : Path
        Gets a parquet file a source, ``records/``, and ``manifest.json``.
    task : ShardTask
    code : str
        Fingerprint of code that the task's own fingerprint does not cover.
    on_progress : callable of featlab.progress.Progress, optional
        Called after every shard; its share is of the sources' bytes.

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
    >>> import tempfile
    >>> import polars as pl
    >>> from featlab.features import BattleColumns
    >>> from featlab.shards import FeatureShards
    >>> folder = Path(tempfile.mkdtemp())
    >>> texts = dict.fromkeys(["prompt", "response_a", "response_b"], '["Hi"]')
    >>> pl.DataFrame({"id": [1], **texts}).write_csv(folder / "battles.csv")
    >>> task = FeatureShards(BattleColumns(names=["words"]))
    >>> make_shards([folder / "battles.csv"], folder / "shards", task).rows
    1
    >>> pl.read_parquet(folder / "shards" / "battles.parquet")["words__difference"].item()
    0.0
    """
    shards = plan_shards(sources, folder)
    fingerprint = value_fingerprint([task.fingerprint(), code])
    start = time.monotonic()
    results = (make_shard(shard, task, fingerprint) for shard in shards)
    made = followed(results, shards, on_progress)
    report = ShardReport(made, time.monotonic() - start)
    write_manifest(folder, shards, report)
    return report


def followed(
    results: Iterable[Made], shards: Sequence[Shard], on_progress: ProgressCallback | None
) -> tuple[Made, ...]:
    """What came of the shards, in their order, told one by one as they come in any order."""
    tell = LoggedProgress() if on_progress is None else on_progress
    sizes = {shard.name: max(_size(shard.source), 1) for shard in shards}
    whole, start = sum(sizes.values()), time.monotonic()

    def told() -> Iterator[Made]:
        read = 0
        for done, made in enumerate(results, 1):
            read += sizes[made.name]
            seconds = time.monotonic() - start
            tell(Progress("making shards", done, len(shards), read / whole, seconds))
            yield made

    found = {made.name: made for made in told()}
    return tuple(found[shard.name] for shard in shards)


def write_manifest(folder: Path, shards: Sequence[Shard], report: ShardReport) -> None:
    """``manifest.json``: every shard with its source, rows, checksum or error, and the versions.

    What stands in it is what belongs together; a folder may hold shards of
    sources that are gone.
    """
    entries = []
    for shard, made in zip(shards, report.made, strict=True):
        entry = {key: value for key, value in asdict(made).items() if value is not None}
        if made.error is None:
            entry["sha256"] = read_json(shard.record)["sha256"]
        entries.append(entry)
    write_json(
        folder / MANIFEST,
        {
            "rows": report.rows,
            "failed": len(report.failed),
            "seconds": round(report.seconds, 3),
            "versions": versions(),
            "shards": entries,
        },
    )


def _size(source: Path) -> int:
    return source.stat().st_size if source.is_file() else 0
