r"""JSON lines, or one JSON list: ids stay the text that they are written as.

What the engine reads otherwise than it is written, Python reads: numbers as ids
(``1.10`` would be 1.1, ``1e5`` 100000, and 40 digits an error), escapes of lone
surrogates (``\ud83d`` would be NUL), and a mark of the byte order.
"""

from __future__ import annotations

import glob
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles.conversations import holds_messages
from featlab.battles.json_text import lone_surrogates
from featlab.errors import BattleError

_IDS = ("id", "question_id", "prompt_id", "uid", "uuid")
_ODD_ID = rf'"(?:{"|".join(_IDS)})"\s*:\s*(?:-0|-?[0-9]+[.eE]|-?[0-9]{{19}})'
_TEXT, _PARTS = r'"content"\s*:\s*"', r'"content"\s*:\s*\['
_NOTHING = "there is no battle in it"
_BYTE_ORDER = "\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")


def scan_json(path: Path) -> pl.LazyFrame:
    """Return the columns of a file of JSON lines, or of one JSON list.

    Raises
    ------
    BattleError
        When the file is empty, or a line is no JSON.
    """
    status = path.stat()
    if status.st_size == 0:
        raise BattleError("the file is empty", source=str(path))
    if _is_list(path):
        return _read_by_python([path.read_bytes().decode("utf-8-sig", "replace")], path)
    odd, blank, mixed = _looked_through(path, status.st_size, status.st_mtime_ns)
    if odd:
        return _read_by_python(pl.read_lines(path, glob=False).to_series(), path)
    escaped = glob.escape(str(path))
    try:
        schema = pl.scan_ndjson(escaped, infer_schema_length=None).collect_schema()
    except pl.exceptions.PolarsError:
        # The engine names no line.
        if not list(_rows(pl.read_lines(path, glob=False).to_series(), path)):
            raise BattleError(_NOTHING, source=str(path)) from None
        raise
    frame = pl.scan_ndjson(
        escaped, infer_schema_length=None, schema_overrides=_as_text(schema, mixed=mixed)
    )
    # Where it is read from a row on, the engine counts blank lines as rows.
    return frame.collect().lazy() if blank else frame


def _is_list(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(64).removeprefix(_BYTE_ORDER.encode()).lstrip().startswith(b"[")


@lru_cache(maxsize=64)
def _looked_through(path: Path, size: int, changed: int) -> tuple[bool, bool, bool]:
    """Return whether lines are there for Python, blank lines, and contents of both kinds."""
    line = pl.col("line")
    odd = line.str.contains(_ODD_ID) | lone_surrogates(line) | line.str.starts_with(_BYTE_ORDER)
    seen = pl.scan_lines(path, glob=False).select(
        odd=odd.any(),
        blank=line.str.contains(r"^\s*$").any(),
        mixed=line.str.contains(_TEXT).any() & line.str.contains(_PARTS).any(),
    )
    return seen.collect(engine="streaming").row(0)


def _as_text(schema: pl.Schema, *, mixed: bool) -> dict[str, PolarsDataType]:
    """Return the columns that are taken as the JSON that is written.

    Conversations too, where contents are texts here and lists of parts there.
    """
    return {
        name: pl.String()
        for name, dtype in schema.items()
        if (name in _IDS and not dtype.is_nested()) or (mixed and holds_messages(dtype))
    }


def _read_by_python(texts: Iterable[str], path: Path) -> pl.LazyFrame:
    """Read rows, all of them in memory."""
    rows = list(_rows(texts, path))
    if not rows:
        raise BattleError(_NOTHING, source=str(path))
    contents = {
        type(message.get("content"))
        for row in rows
        for cell in row.values()
        if isinstance(cell, list)
        for message in cell
        if isinstance(message, Mapping)
    }
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    data = _SURROGATE.sub("\ufffd", lines).encode()
    schema = pl.read_ndjson(io.BytesIO(data), infer_schema_length=None).schema
    as_text = _as_text(schema, mixed={str, list} <= contents)
    return pl.read_ndjson(
        io.BytesIO(data), infer_schema_length=None, schema_overrides=as_text
    ).lazy()


def _rows(texts: Iterable[str], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of texts, each an object or a list of them, with ids as written."""
    for number, text in enumerate(texts, start=1):
        if not (text := text.removeprefix(_BYTE_ORDER)).strip():
            continue
        try:
            read = json.loads(text, parse_constant=_no_number)
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


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
