"""One shard: where it lies, what it was made of, and whether it must be made again.

Beside every shard lies a record in ``records/`` with a key (the fingerprints of
the source, the task and the code) and the checksum of the shard. A shard is kept
while its key is the same and its bytes are what the record says; shard and
record are each written whole or not at all. So a kill costs the shard in hand,
and workers on several machines need nothing but the folder between them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from featlab.errors import BattleError, ConfigError, FeatlabError
from featlab.files import atomic_path, file_fingerprint, read_json, value_fingerprint, write_json
from featlab.shards.tasks import ShardTask

RECORDS = "records"


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
    """What came of one shard.

    Parameters
    ----------
    source, name : str
        The source's path, and the shard's below the folder of shards.
    rows : int
        0 where it failed.
    seconds : float
        That making it took; 0 where it was kept.
    kept : bool
        Whether it was there already.
    error : str, optional
        Why there is no such shard.
    """

    source: str
    name: str
    rows: int = 0
    seconds: float = 0.0
    kept: bool = False
    error: str | None = None


def plan_shards(sources: Sequence[Path], folder: Path) -> list[Shard]:
    """The shard of each source: the same path below `folder` as below their common folder.

    Raises
    ------
    ConfigError
        When two sources would give the same shard, or a shard would replace a source.

    Examples
    --------
    >>> shards = plan_shards([Path("in/x/1.csv"), Path("in/y/1.csv")], Path("out"))
    >>> [shard.target.as_posix() for shard in shards]
    ['out/x/1.parquet', 'out/y/1.parquet']
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


def make_shard(shard: Shard, task: ShardTask, fingerprint: str) -> Made:
    """Make a shard unless it is there already; a source that cannot be used is told, not raised.

    Parameters
    ----------
    shard : Shard
    task : ShardTask
    fingerprint : str
        Of the task, and of code that the task's own fingerprint does not cover.

    Returns
    -------
    Made
        With an error where the source cannot be used. No older shard of that
        source is then left.
    """
    start = time.monotonic()
    source = str(shard.source)
    try:
        if not shard.source.is_file():
            raise BattleError("there is no such file", source=source)
        key = value_fingerprint([file_fingerprint(shard.source), fingerprint])
        known = _record(shard)
        if known.get("key") == key and _intact(shard.target, known):
            return Made(source, shard.name, rows=known["rows"], kept=True)
        with atomic_path(shard.target) as path:
            task.write(shard.source, path)
            checksum = file_fingerprint(path)
            rows = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    except (BattleError, pl.exceptions.PolarsError, OSError) as error:
        shard.record.unlink(missing_ok=True)
        shard.target.unlink(missing_ok=True)
        return Made(source, shard.name, error=str(error) or type(error).__name__)
    seconds = time.monotonic() - start
    write_json(
        shard.record,
        {
            "source": source,
            "key": key,
            "sha256": checksum,
            "rows": rows,
            "seconds": round(seconds, 3),
        },
    )
    return Made(source, shard.name, rows=rows, seconds=seconds)


def _record(shard: Shard) -> dict[str, Any]:
    """The record of a shard, empty where there is none that can be read."""
    try:
        record = read_json(shard.record)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _intact(target: Path, record: dict[str, Any]) -> bool:
    return target.is_file() and file_fingerprint(target) == record.get("sha256")
