"""Battles as a command is given them: a file by name, or standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import polars as pl

from featlab.battles.reading import first_line
from featlab.errors import BattleError

STANDARD_INPUT = "-"


def read_source(file: str) -> Path | pl.DataFrame:
    """Return what a name stands for: JSON lines and standard input as a frame, else the path.

    Raises
    ------
    BattleError
        When the file is not there, or holds no table.
    """
    path = Path(file)
    if file == STANDARD_INPUT:
        given = sys.stdin.buffer.read()
        lines = given.lstrip()[:1] == b"{"
    elif path.suffix in (".jsonl", ".ndjson"):
        if not path.is_file():
            raise BattleError("there is no such file", source=file)
        given, lines = path.read_bytes(), True
    else:
        return path
    try:
        if lines:
            return pl.read_ndjson(io.BytesIO(given), infer_schema_length=None)
        return pl.read_csv(io.BytesIO(given), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        name = "standard input" if file == STANDARD_INPUT else file
        raise BattleError(f"cannot be read: {first_line(error)}", source=name) from None
