"""The first stage: the training file, read once into the canonical columns."""

from __future__ import annotations

from pathlib import Path

from featlab.battles import BattleSchema, check_battles, decode_once, explained, read_battles
from featlab.files import atomic_path

GROUP = 2_000
"""Rows that are worked on at once."""


def make_battles(*, source: Path, battles: Path, schema: BattleSchema) -> None:
    """Read, check and keep every battle.

    Parameters
    ----------
    source : Path
        The training file, or a folder or pattern of them.
    battles : Path
        Parquet to write.
    """
    decode_once(source, schema)
    check_battles(source, schema, require_outcome=True)
    with explained(source, schema), atomic_path(battles) as path:
        # Read by every stage: lz4 is half the work of zstd, and in groups of a few thousand rows
        # the engine holds less and keeps it in the cache.
        read_battles(source, schema).sink_parquet(path, compression="lz4", row_group_size=GROUP)
