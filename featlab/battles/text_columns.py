"""Columns of text, however a file holds them, as columns of turns with a flag for nulls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles.cell_errors import Origin
from featlab.battles.json_text import decode_json_lists

TextFormat = Literal["json_list", "plain", "conversation", "transcript"]
"""What a cell of text is: a JSON list of turns, one turn, JSON messages, or a transcript."""

_TURNS = pl.List(pl.String)
# A column of nothing but empty lists has no type of its own.
_LISTS = (_TURNS, pl.List(pl.Null))


def holds_text(dtype: PolarsDataType) -> bool:
    """Whether a column of this dtype can be read as text: strings, lists of them, or all null."""
    return dtype in (pl.String, pl.Null, *_LISTS)


def with_turns(
    frame: pl.LazyFrame,
    texts: Mapping[str, str],
    text_format: TextFormat,
    keep: Iterable[pl.Expr] = (),
    origin: Origin | None = None,
) -> pl.LazyFrame:
    """Return turns of text columns, and for each a flag that tells whether something was null.

    Parameters
    ----------
    frame : LazyFrame
        Its text columns are String or List(String); lists are taken as turns
        whatever `text_format` says. Flags that a list column brings along count too.
    texts : mapping of str to str
        Name to give -> name in the frame.
    text_format : {"json_list", "plain"}
        How strings are to be read.
    keep : iterable of Expr
        What else to select.
    origin : Origin, optional
        How errors name file, columns and rows.

    Returns
    -------
    LazyFrame
        The kept columns; the texts, List(String) without nulls; ``{text}__null``, Boolean.

    Examples
    --------
    >>> frame = pl.LazyFrame({"essay": ["Once", None]})
    >>> with_turns(frame, {"text": "essay"}, "plain").collect().rows()
    [(['Once'], False), ([''], True)]
    """
    present = frame.collect_schema()
    encoded = [
        text
        for text, name in texts.items()
        if text_format == "json_list" and present[name] == pl.String
    ]
    turns = [
        _turns(pl.col(name), present[name], encoded=text in encoded).alias(text)
        for text, name in texts.items()
    ]
    flags = {
        text: pl.col(f"{name}__null").alias(f"{text}__null")
        for text, name in texts.items()
        if present[name] in _LISTS and present.get(f"{name}__null") == pl.Boolean
    }
    return decode_json_lists(frame.select(*keep, *turns, *flags.values()), encoded, origin).select(
        pl.exclude(*(f"{text}__null" for text in texts), *texts),
        *(_plain(pl.col(text)).alias(text) for text in texts),
        *(_null_flag(text, given=text in flags).alias(f"{text}__null") for text in texts),
    )


def _turns(cell: pl.Expr, dtype: PolarsDataType, *, encoded: bool) -> pl.Expr:
    if encoded:
        return cell
    if dtype in _LISTS:
        return cell.cast(_TURNS)
    return pl.concat_list(cell.cast(pl.String))


def _null_flag(text: str, *, given: bool) -> pl.Expr:
    turns = pl.col(text)
    some_null = turns.list.eval(pl.element().is_null()).list.any().fill_null(True)
    flag = turns.is_null() | some_null
    return flag | pl.col(f"{text}__null").fill_null(True) if given else flag


def _plain(turns: pl.Expr) -> pl.Expr:
    """Return turns without nulls, in whose lines Windows' ends are line feeds."""
    line_feeds = pl.element().fill_null("").str.replace_all("\r\n", "\n", literal=True)
    return turns.fill_null([""]).list.eval(line_feeds)
