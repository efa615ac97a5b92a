"""Say exactly what is wrong with a file of battles: which column, which rows.

Reading is optimistic and lazy. `check_battles` looks at what a lazy reader
cannot know without the rows (ids, outcomes); `explained` turns what is left of
an engine's failures into one sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl

from featlab.battles.cell_errors import CellError
from featlab.battles.layouts import recognise
from featlab.battles.outcome_columns import bare_numbers, unknown_words
from featlab.battles.reading import read_battles, select_roles
from featlab.battles.schema import BattleSchema
from featlab.battles.sources import Source, engine_explained, files_at, kind_of, source_name
from featlab.errors import BattleError

_SHOWN = 5


def check_battles(
    source: Source,
    schema: BattleSchema | None = None,
    *,
    require_outcome: bool = False,
    outcomes: bool = True,
    unique_ids: bool = True,
) -> int:
    """Check ids and outcomes of every row, and return the number of rows.

    Parameters
    ----------
    source, schema, require_outcome, outcomes
        As `featlab.battles.read_battles` takes them.
    unique_ids : bool
        Whether an id that repeats is an error.

    Raises
    ------
    BattleError
        For an empty file, missing columns, null or duplicate ids, and outcomes
        that are not exactly one of those there are.

    Examples
    --------
    >>> row = {"prompt": "[]", "response_a": "[]", "response_b": "[]"}
    >>> check_battles(pl.DataFrame([{"id": 1, **row}, {"id": 1, **row}]))
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: DataFrame: column 'id' holds duplicates (first ids: 1)
    """
    name = source_name(source)
    known = schema or recognise(source).schema
    asked = {"require_outcome": require_outcome, "outcomes": outcomes}
    with engine_explained(source, quiet=True):
        seen = _ids_and_outcomes(source, known, **asked)
    if seen.is_empty():
        raise BattleError("there is no battle in it", source=name)
    _check_ids(seen["id"], known, name, unique=unique_ids)
    if _numbers(seen, known) == {"1", "2"}:
        raise BattleError(
            "holds 1 and 2 and never 0, so that 1 may be the first response or the second",
            source=name,
            column=known.outcome.names[0],
            remedy="say which with --battles.a-words and --battles.b-words",
        )
    if "label" in seen.columns and seen["label"].null_count():
        unknown = seen.filter(pl.col("label").is_null())
        words = unknown_words(unknown.select(pl.exclude("id", "label")))
        several = len(known.outcome.names) > 1
        raise BattleError(
            f"is not one-hot: exactly one of them must be 1, not {words}"
            if several
            else f"names outcomes that are not known: {words}",
            source=name,
            column=", ".join(known.outcome.names),
            rows=unknown["id"].head(_SHOWN).to_list(),
            remedy=None
            if several
            else "say what they mean with --battles.a-words, --battles.b-words, "
            "--battles.tie-words",
        )
    return len(seen)


def _ids_and_outcomes(
    source: Source, schema: BattleSchema, *, require_outcome: bool, outcomes: bool
) -> pl.DataFrame:
    roles = select_roles(source, schema, require_outcome=require_outcome, outcomes=outcomes)
    stated = sorted(name for name in roles.collect_schema() if name.startswith("outcome::"))
    columns = [pl.col(name) for name in stated]
    label = [schema.outcome.label(columns).alias("label")] if stated else []
    return roles.select("id", *stated, *label).collect(engine="streaming")


def _numbers(seen: pl.DataFrame, schema: BattleSchema) -> set[str]:
    return bare_numbers(schema.outcome, seen["outcome::0"]) if "outcome::0" in seen else set()


def _check_ids(ids: pl.Series, schema: BattleSchema, source: str, *, unique: bool) -> None:
    if ids.null_count():
        rows = ids.is_null().arg_true().head(_SHOWN) + 1
        raise BattleError(
            "is null in some rows",
            source=source,
            column=schema.id,
            remedy=f"the first are rows {', '.join(map(str, rows))}, counted from 1",
        )
    if unique and ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
        raise BattleError(
            "holds duplicates",
            source=source,
            column=schema.id,
            rows=repeated.head(_SHOWN).to_list(),
        )


def settled(source: Source, schema: BattleSchema) -> tuple[BattleSchema, list[str]]:
    """Return the schema as the rows of a training file have it, and what there is to say.

    Where ids repeat, as those of several votes on one battle do, the rows'
    numbers take their place; sides are exchanged at random where every outcome
    is a, or every one b.

    Parameters
    ----------
    source : path, pattern, frame or list of dicts
    schema : BattleSchema
        As recognised.
    """
    said = []
    with engine_explained(source, quiet=True):
        seen = _ids_and_outcomes(source, schema, require_outcome=False, outcomes=True)
    ids = seen["id"]
    lax = schema.layout not in ("arena", "wsdm")
    if ids.drop_nulls().is_duplicated().any() or (lax and ids.null_count()):
        said.append(
            f"ids in column '{schema.id}' repeat or are missing; rows are told by their numbers"
        )
        schema = replace(schema, id=None)
    labels = set(seen["label"]) if "label" in seen.columns and len(seen) > 1 else set()
    if _numbers(seen, schema):
        said.append(
            f"outcomes in column '{schema.outcome.names[0]}' are numbers: 0 counts as a, 1 as b, "
            "2 as a tie"
        )
    if schema.exchange is not None or labels in ({0}, {1}):
        place = "second" if labels == {1} else "first"
        said.append(
            f"the chosen answer always stands {place}; sides are exchanged at random by the seed"
        )
        schema = replace(schema, exchange=schema.exchange or 0)
    return schema, said


@contextmanager
def explained(source: Source, schema: BattleSchema | None = None) -> Iterator[None]:
    """Turn an engine's failure into a `BattleError` that names the source.

    Where cells are to blame and the schema is known, they are looked for again
    in the order of the rows: a streaming engine fails on whichever comes first.

    Examples
    --------
    >>> texts = {"prompt": ['["Hi"'], "response_a": ["[]"], "response_b": ["[]"]}
    >>> raw = pl.DataFrame({"id": [7], **texts})
    >>> with explained(raw):
    ...     read_battles(raw).collect()
    Traceback (most recent call last):
        ...
    featlab.battles.cell_errors.CellError: DataFrame: column 'prompt' is not a JSON list of...
    """
    try:
        with engine_explained(source):
            yield
    except CellError:
        if schema is not None:
            with engine_explained(source):
                read_battles(source, schema, outcomes=False).collect(engine="in-memory")
        raise


def decode_once(source: Source, schema: BattleSchema) -> None:
    """Decode every cell that plays a role and keep none, so that damage is found before work.

    A damaged page of a parquet file lets the engine panic, and say so at length
    on standard error, which is put away while this looks. A CSV was decoded whole
    when it was recognised.
    """
    if not isinstance(source, str | Path) or all(kind_of(f) == "csv" for f in files_at(source)):
        return
    with engine_explained(source, quiet=True):
        select_roles(source, schema, outcomes=False).sink_batches(lambda _: None)
