r"""Decode cells that hold a JSON list of turns, inside the Polars engine.

The engine's decoder reads a column as one long JSON array of its cells, so it
takes more than it should, and some of it wrongly. What is mended or refused:

- a lone surrogate escape such as ``\ud83d`` comes out as NUL: it becomes U+FFFD;
- an empty cell makes the decoder drop the row: it becomes null;
- ``["a"],["b"]`` would give two rows, and ``["a"`` and ``"b"]`` in neighbouring rows
  one, so that texts move to other battles: refused;
- a number, ``true`` or a bare string in place of a list would pass for one: refused.

``null``, as the cell or as a turn, is kept for the caller to flag. A number or
``true`` as a turn counts as the text it is written as: some files hold such turns.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import polars as pl

from featlab.battles.cell_errors import Origin, decoded_cells

JSON_BLANKS = " \t\r\n"
"""What JSON allows around its values; a cell of nothing else counts as empty."""

_TURNS = pl.List(pl.String)
_HIGH = r"\\u([dD][89abAB][0-9a-fA-F]{2})"
_LOW = r"\\u([dD][c-fC-F][0-9a-fA-F]{2})"
_ANY_SURROGATE = r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
# A raw control character cannot stand in JSON, so it can mark what is settled.
_SETTLED = "\x01"
# No JSON: the decoder fails on it, and with it the query.
_REFUSED = pl.lit("?")


def decode_json_lists(
    frame: pl.LazyFrame, columns: Iterable[str], origin: Origin | None = None
) -> pl.LazyFrame:
    r"""Return the frame with columns of JSON text decoded to turns, List(String).

    Parameters
    ----------
    frame : LazyFrame
        Its `columns` are strings; empty cells become null.
    columns : iterable of str
        The columns to decode.
    origin : Origin, optional
        How errors name file, columns and rows.

    Raises
    ------
    BattleError
        On collection, for a cell that is neither empty, ``null``, nor a JSON list
        without lists or objects inside.

    Examples
    --------
    >>> cells = [r'["one", null]', r'["\ud83d", "\ud83d\udc4d"]', r'["\\ud83d"]', "null", ""]
    >>> frame = pl.LazyFrame({"x": cells})
    >>> decode_json_lists(frame, ["x"]).collect()["x"].to_list()
    [['one', None], ['\ufffd', '👍'], ['\\ud83d'], None, None]
    """
    names = list(columns)
    if not names:
        return frame
    known = origin or Origin()
    # One projection a step: within a single one, shared parts would be made again and again.
    return (
        frame.with_columns(pl.col(names).str.strip_chars(JSON_BLANKS))
        .with_columns(_doubtful(pl.col(name)).alias(f"{name}::doubtful") for name in names)
        .with_columns(
            _json_text(pl.col(name), pl.col(f"{name}::doubtful")).alias(f"{name}::json")
            for name in names
        )
        .with_columns(_decoded(name, known) for name in names)
        .drop(f"{name}::{made}" for name in names for made in ("doubtful", "json"))
    )


def lone_surrogates(text: pl.Expr) -> pl.Expr:
    r"""Say where JSON text holds an escape of half a pair of surrogates.

    Examples
    --------
    >>> texts = pl.Series([r"\ud83d", r"\ud83d\udc4d", r"\\ud83d", "x"])
    >>> pl.select(lone_surrogates(pl.lit(texts))).to_series().to_list()
    [True, False, False, False]
    """
    alone = text.str.replace_all(r"\\", "", literal=True).str.replace_all(_HIGH + _LOW, "")
    return text.str.contains(r"\u", literal=True) & alone.str.contains(_ANY_SURROGATE)


def mend_surrogates(text: pl.Expr) -> pl.Expr:
    r"""Replace escapes of lone surrogates in JSON text by ``\ufffd``.

    Escaped backslashes are rewritten as ``\u005c`` first, so that every
    backslash left over begins an escape and ``\\ud83d`` stays the text it is.

    Examples
    --------
    >>> pl.select(mend_surrogates(pl.lit(r'["\ud83d", "\\ud83d"]'))).item()
    '["\\ufffd", "\\u005cud83d"]'
    """
    return (
        text.str.replace_all(r"\\", r"\u005c", literal=True)
        .str.replace_all(_HIGH + _LOW, f"{_SETTLED}u${{1}}{_SETTLED}u${{2}}")
        .str.replace_all(_ANY_SURROGATE, r"\ufffd")
        .str.replace_all(_SETTLED, "\\", literal=True)
    )


def _doubtful(cell: pl.Expr) -> pl.Expr:
    """Return the cell where it may need mending (three in a hundred), elsewhere empty.

    Not null: the engine searches behind nulls too.
    """
    return pl.when(cell.str.contains(r"\\(?:\\|u[dD])")).then(cell).otherwise(pl.lit(""))


def _json_text(cell: pl.Expr, doubtful: pl.Expr) -> pl.Expr:
    """Text for the decoder: a mended list, null for no turns, and no JSON for anything else."""
    without_turns = (cell.str.len_bytes() == 0) | (cell == "null")
    encloses = cell.str.starts_with("[") & cell.str.ends_with("]")
    forged = doubtful.str.contains(_SETTLED, literal=True)
    return (
        pl.when(forged | ~(encloses | without_turns))
        .then(_REFUSED)
        .when(doubtful.str.len_bytes() > 0)
        .then(mend_surrogates(doubtful))
        .when(encloses)
        .then(cell)
    )


def _decoded(name: str, origin: Origin) -> pl.Expr:
    json_text = f"{name}::json"
    return decoded_cells(
        name,
        lambda frame: frame.select(_turns_of(pl.col(json_text))).to_series(),
        lambda cell: None if _is_json_list(cell) else "is not a JSON list of texts",
        _TURNS,
        origin,
        needs=(json_text,),
        remedy="text that is no JSON is read with --battles.texts plain",
    )


def _turns_of(json_text: pl.Expr) -> pl.Expr:
    """Return the turns, if every string that begins in a cell ends there.

    Then brackets at both ends suffice: a cell that left a list open would make the
    next one a list in a list, which is no string, and a cell of two lists would
    make the column too long. Either fails.
    """
    quotes = json_text.str.count_matches('"', literal=True)
    escaped = json_text.str.count_matches(r"\"", literal=True)
    closed = (quotes - escaped) % 2 == 0
    return pl.when(closed).then(json_text).when(~closed).then(_REFUSED).str.json_decode(_TURNS)


def _is_json_list(cell: str) -> bool:
    if not cell:
        return True
    try:
        turns = json.loads(cell, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return False
    return turns is None or (
        isinstance(turns, list) and not any(isinstance(turn, list | dict) for turn in turns)
    )


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is too large")
    return value
