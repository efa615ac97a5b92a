"""JSON lines, or one JSON list: ids stay the text that they are written as."""

from __future__ import annotations

import glob
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from featlab.errors import BattleError

_IDS = ("id", "question_id", "prompt_id", "uid", "uuid")
# What the engine makes other numbers of, or none at all: 1.10, 1e5, -0 and 40 digits.
_ODD_ID = rf'"(?:{"|".join(_IDS)})"\s*:\s*(?:-0|-?[0-9]+[.eE]|-?[0-9]{{19}})'


def scan_json(path: Path) -> pl.LazyFrame:
    """Return the columns of a file of JSON lines, or of one JSON list.

    Raises
    ------
    BattleError
        When the file is empty, or an id is a number that the engine would
        change and a line of the file is no JSON.
    """
    if path.stat().st_size == 0:
        raise BattleError("the file is empty", source=str(path))
    if _is_list(path):
        text = path.read_bytes()
        if re.search(_ODD_ID.encode(), text):
            return _with_ids_as_written([text], path)
        return pl.read_json(text, infer_schema_length=None).lazy()
    odd = pl.scan_lines(path, glob=False).select(pl.col("line").str.contains(_ODD_ID).any())
    if odd.collect(engine="streaming").item():
        return _with_ids_as_written(pl.read_lines(path, glob=False).to_series(), path)
    escaped = glob.escape(str(path))
    schema = pl.scan_ndjson(escaped, infer_schema_length=None).collect_schema()
    as_text = {name: pl.String for name in _IDS if name in schema}
    return pl.scan_ndjson(escaped, infer_schema_length=None, schema_overrides=as_text)


def _is_list(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as stream:
        return stream.read(64).lstrip().startswith(b"[")


def _with_ids_as_written(texts: Iterable[str | bytes], path: Path) -> pl.LazyFrame:
    """Read rows by Python, all of them in memory, their ids as strings."""
    rows = "\n".join(json.dumps(row) for row in _rows(texts, path))
    return pl.read_ndjson(io.StringIO(rows), infer_schema_length=None).lazy()


def _rows(texts: Iterable[str | bytes], path: Path) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            read = json.loads(text)
            written = json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            raise BattleError(f"line {number} is no JSON", source=str(path)) from None
        pairs = zip(read, written, strict=True) if isinstance(read, list) else [(read, written)]
        for row, tokens in pairs:
            if not isinstance(row, dict):
                raise BattleError(f"line {number} is no JSON object", source=str(path))
            ids = {
                name: tokens[name]
                for name in _IDS
                if isinstance(row.get(name), int | float) and not isinstance(row[name], bool)
            }
            yield {**row, **ids}
