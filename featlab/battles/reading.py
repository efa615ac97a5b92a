"""Read battles lazily from CSV, parquet or a frame, into the canonical columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles.schema import ARENA, BattleSchema, LabelColumn, OneHotColumns
from featlab.battles.text_columns import holds_text, with_turns
from featlab.errors import BattleError

Source = str | Path | pl.DataFrame | pl.LazyFrame

_TRUE = ("1", "1.0", "true")
_FALSE = ("0", "0.0", "false")


def source_name(source: Source) -> str:
    """How errors name a source: the path, or the kind of frame."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def scan_source(source: Source, schema: BattleSchema = ARENA) -> pl.LazyFrame:
    """The raw columns of a source, lazily; texts of a CSV are never guessed to be numbers.

    Raises
    ------
    BattleError
        When the file is missing, empty, of an unknown kind, or not UTF-8 in its header.
    """
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return source.lazy()
    path = Path(source)
    if not path.is_file():
        raise BattleError("there is no such file", source=str(path))
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, glob=False)
    if path.suffix != ".csv":
        raise BattleError("is neither .csv nor .parquet", source=str(path))
    _check_header(path)
    try:
        header = pl.scan_csv(path, glob=False).collect_schema()
        as_text = {name: pl.String for name in header if name != schema.id}
        return pl.scan_csv(path, glob=False, infer_schema_length=1000, schema_overrides=as_text)
    except pl.exceptions.NoDataError:
        raise BattleError("the file is empty", source=str(path)) from None
    except pl.exceptions.PolarsError as error:
        raise BattleError(f"cannot be read as CSV: {first_line(error)}", source=str(path)) from None


def _check_header(path: Path) -> None:
    """Raise where the first line is not UTF-8; the reader would replace what it cannot read."""
    with path.open("rb") as stream:
        line = stream.readline(1 << 20)
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        raise BattleError(
            "the header is not UTF-8", source=str(path), remedy="save the file as UTF-8"
        ) from None


def first_line(error: Exception) -> str:
    """The first line of a library's message, without its final full stop."""
    return str(error).strip().splitlines()[0].rstrip(".")


def read_battles(
    source: Source, schema: BattleSchema = ARENA, *, require_outcome: bool = False
) -> pl.LazyFrame:
    """Battles in the canonical columns of `featlab.battles.schema`, lazily.

    Parameters
    ----------
    source : path, DataFrame or LazyFrame
        A ``.csv`` or ``.parquet`` file, or a frame with the same columns.
    schema : BattleSchema
        Which column plays which role.
    require_outcome : bool
        Whether a source without outcome columns is an error (training).

    Raises
    ------
    BattleError
        When a column is missing. What only the rows can show (broken JSON,
        outcomes that are not one-hot, duplicate ids) is found on collection:
        see `featlab.battles.check_battles` and `featlab.battles.explained`.

    Examples
    --------
    >>> raw = pl.DataFrame(
    ...     {"id": [1], "prompt": ['["Hi"]'], "response_a": ['["Hello"]'], "response_b": ["[null]"]}
    ... )
    >>> battles = read_battles(raw).collect()
    >>> battles["response_b"].to_list(), battles["response_b__null"].to_list()
    ([['']], [True])
    """
    raw = scan_source(source, schema)
    try:
        present = raw.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise BattleError(
            f"cannot be read: {first_line(error)}", source=source_name(source)
        ) from None
    _check_columns(present, schema, source_name(source), require_outcome=require_outcome)

    columns = [pl.col(schema.id).alias("id")]
    if set(schema.outcome.names) <= set(present):
        columns.append(_label(schema.outcome).alias("label"))
    for role in ("model_a", "model_b", "language"):
        name = getattr(schema, role)
        if name in present:
            columns.append(pl.col(name).cast(pl.String).alias(role))
    return with_turns(raw, schema.text_roles, schema.texts, keep=columns)


def _check_columns(
    present: pl.Schema, schema: BattleSchema, source: str, *, require_outcome: bool
) -> None:
    needed = list(schema.required)
    outcome = schema.outcome.names
    if require_outcome or any(name in present for name in outcome):
        needed += outcome
    missing = [name for name in needed if name not in present]
    if missing:
        raise BattleError(
            f"has no column {', '.join(map(repr, missing))}",
            source=source,
            remedy=f"it has {', '.join(present.names())}; name the roles in the battle schema",
        )
    for name in schema.text_roles.values():
        if not holds_text(present[name]):
            raise BattleError(f"holds {present[name]}, not text", source=source, column=name)


def _label(outcome: OneHotColumns | LabelColumn) -> pl.Expr:
    """The label, or null where the row states no single outcome."""
    if isinstance(outcome, LabelColumn):
        value = pl.col(outcome.column).cast(pl.String)
        names = (outcome.a, outcome.b, outcome.tie)
        hits = [value == name for name in names]
    else:
        values = [pl.col(name).cast(pl.String).str.to_lowercase() for name in outcome.names]
        hits = [
            pl.all_horizontal(
                value.is_in(_TRUE if index == winner else _FALSE)
                for index, value in enumerate(values)
            )
            for winner in range(3)
        ]
    return pl.when(hits[0]).then(0).when(hits[1]).then(1).when(hits[2]).then(2).cast(pl.Int8)
