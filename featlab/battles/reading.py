"""Read anything that holds battles as canonical battles."""

from __future__ import annotations

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles.cell_errors import Origin
from featlab.battles.conversations import conversations_as_turns, holds_messages, images_in
from featlab.battles.exchange import exchanged_at_random
from featlab.battles.layouts import recognise
from featlab.battles.outcome_columns import LabelColumn
from featlab.battles.schema import TEXTS, BattleSchema
from featlab.battles.sources import Source, first_line, scan_source, source_name
from featlab.battles.text_columns import TextFormat, holds_text, with_turns
from featlab.errors import BattleError

_NOT_IDS = (pl.List, pl.Array, pl.Struct, pl.Binary, pl.Object, pl.Boolean, pl.Duration)
_WORDS = (pl.Categorical, pl.Enum)
_OPTIONS = {
    "id": "--battles.id",
    "prompt": "--battles.prompt",
    "response_a": "--battles.response-a",
    "response_b": "--battles.response-b",
}


def read_battles(
    source: Source,
    schema: BattleSchema | None = None,
    *,
    require_outcome: bool = False,
    outcomes: bool = True,
) -> pl.LazyFrame:
    """Battles in the canonical columns of `featlab.battles.schema`, lazily.

    Parameters
    ----------
    source : path, pattern, frame or list of dicts
        CSV, parquet or JSON lines (the first and the last also packed as
        ``.gz`` or ``.zst``), a folder or a pattern of such files, a polars or
        pandas frame, or dicts by column name.
    schema : BattleSchema, optional
        Which column plays which role; recognised from the columns by default
        (`featlab.battles.recognise`).
    require_outcome : bool
        Whether a source without outcome columns is an error (training).
    outcomes : bool
        Whether outcomes are read where they are there; a test file's are not.

    Raises
    ------
    BattleError
        When a column is missing or of a wrong type. What only the rows can show
        is found on collection: broken JSON by itself, ids and outcomes by
        `featlab.battles.check_battles`.

    Examples
    --------
    >>> raw = pl.DataFrame(
    ...     {"id": [1], "prompt": ['["Hi"]'], "response_a": ['["Hello"]'], "response_b": ["[null]"]}
    ... )
    >>> battles = read_battles(raw).collect()
    >>> battles["response_b"].to_list(), battles["response_b__null"].to_list()
    ([['']], [True])
    """
    known = schema or recognise(source).schema
    frame = select_roles(source, known, require_outcome=require_outcome, outcomes=outcomes)
    present = frame.collect_schema()
    texts = [name for name in TEXTS if name in present]
    origin = Origin(source_name(source), known.text_roles, "id")
    frame = conversations_as_turns(frame, known.texts, origin)
    columns = [pl.col("id")]
    labels = sorted(name for name in present if name.startswith("outcome::"))
    if labels:
        columns.append(known.outcome.label([pl.col(name) for name in labels]).alias("label"))
    elif outcomes and not known.outcome.names:
        columns.append(known.outcome.label([]).alias("label"))
    columns += [pl.col(name) for name in ("model_a", "model_b", "language") if name in present]
    if "prompt" not in present:
        texts = ["prompt", *texts]
    plain: TextFormat = "json_list" if known.texts == "json_list" else "plain"
    turns = with_turns(frame, dict(zip(texts, texts, strict=True)), plain, columns, origin)
    if outcomes and known.exchange is not None:
        return exchanged_at_random(turns, known.exchange)
    return turns


def select_roles(
    source: Source, schema: BattleSchema, *, require_outcome: bool = False, outcomes: bool = True
) -> pl.LazyFrame:
    """Return the columns that play a role, under the roles' names, each of a type that can.

    Columns are taken by position, so that a name may be anything.
    """
    raw = scan_source(source)
    name = source_name(source)
    try:
        present = raw.collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise BattleError(f"cannot be read: {first_line(error)}", source=name) from None
    stated = outcomes and (
        require_outcome or any(column in present for column in schema.outcome.names)
    )
    _check_columns(present, schema, name, outcome=stated)
    order = present.names()

    def column(of: str) -> pl.Expr:
        taken = pl.nth(order.index(of))
        # No number is no id, and no text.
        taken = taken.fill_nan(None) if present[of].is_float() else taken
        return taken.cast(pl.String) if present[of] in _WORDS else taken

    roles = {role: column(of).alias(role) for role, of in schema.text_roles.items()}
    roles |= {
        f"{role}__null": column(f"{of}__null").alias(f"{role}__null")
        for role, of in schema.text_roles.items()
        if present.get(f"{of}__null") == pl.Boolean
    }
    if schema.id is not None:
        roles["id"] = column(schema.id).alias("id")
    if schema.turn is not None:
        roles["turn"] = column(schema.turn).alias("turn")
    for role in ("model_a", "model_b", "language"):
        of = getattr(schema, role)
        if of in present:
            roles[role] = column(of).cast(pl.String).alias(role)
    if stated:
        for index, of in enumerate(schema.outcome.names):
            roles[f"outcome::{index}"] = column(of).alias(f"outcome::{index}")
    frame = raw.select(roles.values())
    if schema.id is None:
        frame = frame.with_row_index("id").with_columns(pl.col("id").cast(pl.Int64))
    return frame


def images_left_out(source: Source, schema: BattleSchema) -> int:
    """Return how many parts of conversations are no text: images, mostly."""
    frame = select_roles(source, schema, outcomes=False)
    present = frame.collect_schema()
    counts = [
        images_in(pl.col(name), present[name]).cast(pl.Int64).sum().alias(name)
        for name in ("response_a", "response_b")
        if holds_messages(present[name])
    ]
    return sum(frame.select(counts).collect(engine="streaming").row(0)) if counts else 0


def _check_columns(present: pl.Schema, schema: BattleSchema, source: str, *, outcome: bool) -> None:
    needed = [*schema.required, *(schema.outcome.names if outcome else ())]
    missing = [name for name in needed if name not in present]
    if missing:
        options = [
            option for role, option in _OPTIONS.items() if getattr(schema, role) in missing
        ] or ["--battles.outcome"]
        raise BattleError(
            f"has no column {', '.join(map(repr, missing))}",
            source=source,
            remedy=f"it has {_listed(present.names())}; name the right one with "
            + ", ".join(options),
        )
    if schema.id is not None and isinstance(present[schema.id], _NOT_IDS):
        raise BattleError(
            f"holds {_shown(present[schema.id])}, and an id is text or a whole number",
            source=source,
            column=schema.id,
        )
    for role, name in schema.text_roles.items():
        dtype = present[name]
        if not (holds_text(dtype) or dtype in _WORDS or holds_messages(dtype)):
            raise BattleError(
                f"holds {_shown(dtype)}, not text",
                source=source,
                column=name,
                remedy=f"name another one with {_OPTIONS[role]}",
            )
    if outcome and isinstance(schema.outcome, LabelColumn):
        dtype = present[schema.outcome.column]
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise BattleError(
                f"holds {_shown(dtype)}, not words", source=source, column=schema.outcome.column
            )


def _listed(names: list[str]) -> str:
    short = [_name(name) for name in names[:20]]
    return ", ".join(short) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _name(name: str) -> str:
    """Return a name on one line, in quotation marks where blanks around it would be overlooked."""
    return " ".join(name.split())[:40] if name == name.strip() else repr(name[:40])


def _shown(dtype: PolarsDataType) -> str:
    return str(dtype) if len(str(dtype)) < 60 else str(dtype)[:57] + "..."
