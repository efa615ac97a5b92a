"""Battles as a command is given them: files by name, or standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import polars as pl

from featlab.battles.sources import first_line
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
    try:
        if given.lstrip()[:1] == b"{":
            return pl.read_ndjson(io.BytesIO(given), infer_schema_length=None)
        return pl.read_csv(io.BytesIO(given), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise BattleError(f"cannot be read: {first_line(error)}", source="standard input") from None
