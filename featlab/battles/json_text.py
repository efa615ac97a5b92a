r"""Decode cells that hold a JSON list of turns, inside the Polars engine.

Three things break the plain decoder and are mended first:

- a lone surrogate escape such as ``\ud83d`` comes out as NUL: it becomes U+FFFD;
- an empty cell makes the decoder drop the row: it becomes null;
- ``null``, as the cell or as a turn, becomes an empty turn (the caller keeps a flag).
"""

from __future__ import annotations

import polars as pl

_HIGH = r"\\u([dD][89abAB][0-9a-fA-F]{2})"
_LOW = r"\\u([dD][c-fC-F][0-9a-fA-F]{2})"
_ANY_SURROGATE = r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
# A raw control character cannot stand in JSON, so it can mark what is settled.
_SETTLED = "\x01"


def mend_surrogates(text: pl.Expr) -> pl.Expr:
    r"""Replace escapes of lone surrogates in JSON text by ``\ufffd``.

    Escaped backslashes are rewritten as ``\u005c`` first, so that every
    backslash left over begins an escape and ``\\ud83d`` stays the text it is.

    Examples
    --------
    >>> frame = pl.DataFrame({"x": [r'["\ud83d"]', r'["\ud83d\udc4d"]', r'["\\ud83d"]']})
    >>> frame.select(decode_turns(pl.col("x")))["x"].to_list()
    [['\ufffd'], ['👍'], ['\\ud83d']]
    """
    return (
        text.str.replace_all(r"\\", r"\u005c", literal=True)
        .str.replace_all(_HIGH + _LOW, f"{_SETTLED}u${{1}}{_SETTLED}u${{2}}")
        .str.replace_all(_ANY_SURROGATE, r"\ufffd")
        .str.replace_all(_SETTLED, "\\", literal=True)
    )


def decode_turns(cell: pl.Expr) -> pl.Expr:
    """Turns of a JSON-list cell, as List(String); nulls are kept for the caller to flag.

    The expression raises `polars.exceptions.ComputeError` on text that is not
    JSON; `featlab.battles.explained` turns that into a `BattleError` with row ids.

    Examples
    --------
    >>> pl.select(decode_turns(pl.lit('["one", null]'))).item().to_list()
    ['one', None]
    """
    blank_as_null = pl.when(cell.str.strip_chars().str.len_bytes() > 0).then(cell)
    return mend_surrogates(blank_as_null).str.json_decode(pl.List(pl.String))
