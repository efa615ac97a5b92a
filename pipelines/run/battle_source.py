"""Battles as a command is given them: files by name, or standard input."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import polars as pl

from featlab.battles import scan_source
from featlab.battles.sources import engine_explained
from featlab.errors import BattleError

STANDARD_INPUT = "-"


def read_source(file: str) -> Path | pl.DataFrame:
    """Return the path of a file, and what standard input holds: JSON lines or CSV.

    Raises
    ------
    BattleError
        When standard input holds no table.
    """
    if file != STANDARD_INPUT:
        return Path(file)
    given = sys.stdin.buffer.read()
    kind = "jsonl" if given.lstrip()[:1] in (b"{", b"[") else "csv"
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / f"standard input.{kind}"
        path.write_bytes(given)
        try:
            with engine_explained(path):
                return scan_source(path).collect()
        except BattleError as error:
            raise BattleError(
                error.problem, source="standard input", column=error.column, rows=error.rows
            ) from None
