"""Say exactly what is wrong with a file of battles: which column, which rows.

Reading is optimistic and lazy. `check_battles` looks at what a lazy reader
cannot know without the rows (ids, outcomes); `explained` wraps any collection
and, only when the engine fails, looks for the cell that made it fail.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from featlab.battles.json_text import JSON_BLANKS
from featlab.battles.reading import Source, first_line, read_battles, scan_source, source_name
from featlab.battles.schema import ARENA, BattleSchema
from featlab.battles.text_columns import TextFormat
from featlab.errors import BattleError

_SHOWN = 5


def check_battles(
    source: Source,
    schema: BattleSchema = ARENA,
    *,
    require_outcome: bool = False,
    unique_ids: bool = True,
) -> int:
    """Check ids and outcomes of every row, and return the number of rows.

    Parameters
    ----------
    source, schema, require_outcome
        As `featlab.battles.read_battles` takes them.
    unique_ids : bool
        Whether an id that repeats is an error.

    Raises
    ------
    BattleError
        For an empty file, missing columns, null or duplicate ids, outcomes that
        are not exactly one of the three, or text that is not UTF-8.

    Examples
    --------
    >>> row = {"prompt": "[]", "response_a": "[]", "response_b": "[]"}
    >>> check_battles(pl.DataFrame([{"id": 1, **row}, {"id": 1, **row}]))
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: DataFrame: column 'id' holds duplicates (first ids: 1)
    """
    name = source_name(source)
    battles = read_battles(source, schema, require_outcome=require_outcome)
    labelled = "label" in battles.collect_schema()
    with explained(source, schema):
        seen = battles.select("id", *(["label"] if labelled else [])).collect()
    if seen.is_empty():
        raise BattleError("there is no battle in it", source=name)
    ids = seen["id"]
    if ids.null_count():
        rows = seen.with_row_index("row", 1).filter(pl.col("id").is_null())["row"].head(_SHOWN)
        raise BattleError(
            "is null in some rows",
            source=name,
            column=schema.id,
            remedy=f"the first are rows {', '.join(map(str, rows))}, counted from 1",
        )
    if unique_ids and ids.n_unique() < len(ids):
        repeated = seen.filter(ids.is_duplicated())["id"].unique(maintain_order=True)
        raise BattleError(
            "holds duplicates", source=name, column=schema.id, rows=repeated.head(_SHOWN).to_list()
        )
    if labelled and seen["label"].null_count():
        raise BattleError(
            "is not one-hot: exactly one of them must be 1"
            if len(schema.outcome.names) > 1
            else "names an outcome that the schema does not know",
            source=name,
            column=", ".join(schema.outcome.names),
            rows=seen.filter(pl.col("label").is_null())["id"].head(_SHOWN).to_list(),
        )
    return len(seen)


@contextmanager
def explained(source: Source, schema: BattleSchema = ARENA) -> Iterator[None]:
    """Turn an engine's failure on a bad cell into a `BattleError` that names it.

    Examples
    --------
    >>> texts = {"prompt": ['["Hi"'], "response_a": ["[]"], "response_b": ["[]"]}
    >>> raw = pl.DataFrame({"id": [7], **texts})
    >>> with explained(raw):
    ...     read_battles(raw).collect()
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: DataFrame: column 'prompt' is not a JSON list of texts...
    """
    try:
        yield
    except pl.exceptions.PolarsError as error:
        try:
            _find_cause(source, schema)
        except BattleError as found:
            raise found from None
        raise BattleError(
            f"cannot be read: {first_line(error)}", source=source_name(source)
        ) from None


@contextmanager
def explained_texts(texts: pl.LazyFrame, text_format: TextFormat, *, source: str) -> Iterator[None]:
    """As `explained`, for a frame of nothing but text columns; rows are numbered from 0.

    Examples
    --------
    >>> from featlab.battles import with_turns
    >>> raw = pl.LazyFrame({"essay": ['["fine"]', "oops"]})
    >>> with explained_texts(raw, "json_list", source="essays"):
    ...     with_turns(raw, {"essay": "essay"}, "json_list").collect()
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: essays: column 'essay' is not a JSON list of texts...
    """
    try:
        yield
    except pl.exceptions.PolarsError as error:
        names = texts.collect_schema().names()
        try:
            if text_format == "json_list":
                with suppress(pl.exceptions.PolarsError):
                    numbered = texts.with_row_index("::row")
                    _find_broken_json(numbered, names, identity="::row", source=source)
        except BattleError as found:
            raise found from None
        raise BattleError(f"cannot be read: {first_line(error)}", source=source) from None


def _find_cause(source: Source, schema: BattleSchema) -> None:
    if not isinstance(source, pl.DataFrame | pl.LazyFrame) and Path(source).suffix == ".csv":
        _find_undecodable_bytes(Path(source))
        _find_broken_records(Path(source), schema)
        _find_mixed_ids(Path(source), schema)
    if schema.texts == "json_list":
        with suppress(pl.exceptions.PolarsError):
            _find_broken_json(
                scan_source(source, schema),
                schema.text_roles.values(),
                identity=schema.id,
                source=source_name(source),
            )


def _find_undecodable_bytes(path: Path) -> None:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BattleError(
                    f"line {number} is not UTF-8 (byte {error.start} of the line)",
                    source=str(path),
                    remedy="save the file as UTF-8",
                ) from None


def _find_broken_records(path: Path, schema: BattleSchema) -> None:
    """Rows of a CSV with more fields than its header, or a quoted field without an end."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            records = csv.reader(stream, strict=True)
            header = next(records, [])
            broken: list[object] = []
            for record in records:
                if len(record) > len(header):
                    broken.append(record[header.index(schema.id)])
                if len(broken) == _SHOWN:
                    break
    except csv.Error:
        raise BattleError(
            f"quotation marks do not match near line {records.line_num}, or the file is cut off",
            source=str(path),
        ) from None
    finally:
        csv.field_size_limit(limit)
    if broken:
        raise BattleError("has rows of more fields than the header", source=str(path), rows=broken)


def _find_mixed_ids(path: Path, schema: BattleSchema) -> None:
    """Ids that are text although those in front of them, which set the type, are numbers."""
    guessed = scan_source(path, schema).collect_schema()[schema.id]
    ids = pl.scan_csv(path, infer_schema=False, glob=False).select(schema.id)
    odd = ids.filter(pl.all().is_not_null() & pl.all().cast(guessed, strict=False).is_null())
    rows = odd.head(_SHOWN).collect().to_series().to_list()
    if rows:
        raise BattleError(
            "holds numbers first and text later",
            source=str(path),
            column=schema.id,
            rows=rows,
        )


def _find_broken_json(
    raw: pl.LazyFrame, columns: Iterable[str], *, identity: str, source: str
) -> None:
    """Look at each cell of some columns in turn, and raise for those that hold no JSON list.

    Parameters
    ----------
    raw : LazyFrame
        What could not be decoded.
    columns : iterable of str
        Columns of text; those of lists are passed over.
    identity : str
        The column whose values name the rows.
    source : str
        How the error names the frame.

    Raises
    ------
    BattleError
        With the column and the first rows.
    """
    dtypes = raw.collect_schema()
    for name in columns:
        if dtypes[name] != pl.String:
            continue
        broken: list[object] = []
        for row, cell in raw.select(identity, name).collect().iter_rows():
            if not _is_json_list(cell):
                broken.append(row)
            if len(broken) == _SHOWN:
                break
        if broken:
            raise BattleError(
                "is not a JSON list of texts",
                source=source,
                column=name,
                rows=broken,
                remedy="plain strings are read with texts='plain'",
            )


def _is_json_list(cell: str | None) -> bool:
    if cell is None or not cell.strip(JSON_BLANKS):
        return True
    try:
        turns = json.loads(cell, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False
    return turns is None or (
        isinstance(turns, list) and not any(isinstance(turn, list | dict) for turn in turns)
    )


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
