"""The first stage: the training file, read once into the canonical columns."""

from __future__ import annotations

from pathlib import Path

from featlab.battles import BattleSchema, check_battles, explained, read_battles
from featlab.files import atomic_path


def make_battles(*, source: Path, battles: Path, schema: BattleSchema) -> None:
    """Read, check and keep every battle.

    Parameters
    ----------
    source : Path
        The training file.
    battles : Path
        Parquet to write.
    """
    check_battles(source, schema, require_outcome=True)
    with explained(source, schema), atomic_path(battles) as path:
        read_battles(source, schema).sink_parquet(path)
