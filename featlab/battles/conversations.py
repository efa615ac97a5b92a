r"""Conversations as turns: what users said is the prompt, what assistants said the response.

A conversation is a list of messages with a role and a content, the content text
or a list of parts of which only the texts are kept; or one text in which turns
begin with ``\n\nHuman:`` and ``\n\nAssistant:``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
from polars._typing import PolarsDataType

from featlab.battles.cell_errors import Origin, decoded_cells
from featlab.battles.text_columns import TextFormat

_TURNS = pl.List(pl.String)
_MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
_SPEAKERS = ("role", "from", "speaker")
_CONTENTS = ("content", "value", "text")
_USERS = ("user", "human", "prompter")
_ASSISTANTS = ("assistant", "gpt", "model", "bot", "chatbot", "ai")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARK, _SAYS = "\x1e", "\x1f"
_TRANSCRIPT = r"(?:^\s*|\n\s*\n)(Human|Assistant):[ \t]?"


def holds_messages(dtype: PolarsDataType) -> bool:
    """Whether a column of this dtype holds lists of messages.

    Examples
    --------
    >>> holds_messages(pl.List(pl.Struct({"role": pl.String, "content": pl.String})))
    True
    """
    fields = _fields(dtype)
    return not fields.keys().isdisjoint(_SPEAKERS) and not fields.keys().isdisjoint(_CONTENTS)


def conversations_as_turns(
    frame: pl.LazyFrame, text_format: TextFormat, origin: Origin
) -> pl.LazyFrame:
    """Return battles whose conversations are prompts and responses of turns.

    Parameters
    ----------
    frame : LazyFrame
        Columns ``id``, ``response_a``, ``response_b``, and where the file has
        them ``prompt`` and ``turn``: as many turns are kept as that says.
        Columns that hold no conversations pass as they are.
    text_format : {"json_list", "plain", "conversation", "transcript"}
        What strings are.
    origin : Origin
        How errors name the cells.
    """
    present = frame.collect_schema()
    roles = [name for name in ("prompt", "response_a", "response_b") if name in present]
    strings = [name for name in roles if present[name] == pl.String]
    if text_format == "conversation":
        frame = frame.with_columns(_from_json(name, origin) for name in strings)
        present = pl.Schema({**present, **dict.fromkeys(strings, _MESSAGES)})
    told = [name for name in roles if holds_messages(present[name])]
    transcripts = strings if text_format == "transcript" else []
    if not told and not transcripts:
        return frame
    said = {
        (name, who): (
            _said_in_messages(pl.col(name), present[name], who)
            if name in told
            else _said_in_transcript(pl.col(name), name, who)
        )
        for name in (*told, *transcripts)
        for who in (_USERS, _ASSISTANTS)
    }
    frame = frame.with_columns(
        turns.alias(f"{name}::{who[0]}") for (name, who), turns in said.items()
    )
    return _joined(frame, present, {name for name, _ in said})


def _joined(frame: pl.LazyFrame, present: pl.Schema, talks: set[str]) -> pl.LazyFrame:
    """Prompts and responses from who said what in which column."""
    empty = pl.lit([], dtype=_TURNS)

    def said(name: str, who: str) -> pl.Expr:
        return pl.col(f"{name}::{who}") if name in talks else empty

    if "prompt" in talks:
        own = said("prompt", "user")
    elif "prompt" in present:
        turns = pl.col("prompt")
        own = turns.cast(_TURNS) if isinstance(present["prompt"], pl.List) else _alone(turns)
    else:
        own = empty
    # A conversation that repeats its prompt tells all of it; else the prompt's messages lead.
    asked = said("response_a", "user")
    whole = asked.list.len() > 0
    columns = {"prompt": pl.when(whole).then(asked).otherwise(own)}
    for name in ("response_a", "response_b"):
        if name in talks:
            answers = said(name, "assistant")
            leading = said("prompt", "assistant")
            follows = said(name, "user").list.len() == 0
            columns[name] = pl.when(follows).then(leading.list.concat(answers)).otherwise(answers)
    if "turn" in present:
        judged = pl.col("turn").cast(pl.Int64, strict=False)
        columns = {
            name: pl.when(judged > 0).then(turns.list.head(judged)).otherwise(turns)
            for name, turns in columns.items()
        }
    return frame.with_columns(**columns)


def _alone(text: pl.Expr) -> pl.Expr:
    return pl.when(text.is_not_null()).then(pl.concat_list(text.cast(pl.String)))


def _said_in_messages(messages: pl.Expr, dtype: PolarsDataType, who: tuple[str, ...]) -> pl.Expr:
    fields = _fields(dtype)
    speaker = next(name for name in _SPEAKERS if name in fields)
    content = next(name for name in _CONTENTS if name in fields)
    message = pl.element()
    is_who = message.struct.field(speaker).cast(pl.String).str.to_lowercase().is_in(who)
    text = _text_of(message.struct.field(content), fields[content])
    return messages.list.eval(text.filter(is_who.fill_null(False)))


def _fields(dtype: PolarsDataType | None) -> dict[str, PolarsDataType]:
    """Return the fields of lists of structs, and none of anything else."""
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return {}
    return {field.name: field.dtype for field in dtype.inner.fields}


def _text_of(content: pl.Expr, dtype: PolarsDataType) -> pl.Expr:
    """Content as text: as it is, or the texts of its parts."""
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        names = {field.name for field in dtype.inner.fields}
        part = pl.element()
        text = part.struct.field("text").cast(pl.String) if "text" in names else pl.lit(None)
        return content.list.eval(text.drop_nulls()).list.join("\n")
    if isinstance(dtype, pl.List):
        return content.cast(_TURNS).list.join("\n")
    if isinstance(dtype, pl.Struct):
        names = {field.name for field in dtype.fields}
        return content.struct.field("text").cast(pl.String) if "text" in names else pl.lit("")
    return content.cast(pl.String)


def images_in(messages: pl.Expr, dtype: PolarsDataType) -> pl.Expr:
    """Return how many parts of each conversation are no text, and left out."""
    none = pl.lit(0, pl.UInt32)
    if not holds_messages(dtype):
        return none
    fields = _fields(dtype)
    content = next(name for name in _CONTENTS if name in fields)
    parts = fields[content]
    if not isinstance(parts, pl.List) or not isinstance(parts.inner, pl.Struct):
        return none
    part = pl.element()
    names = {field.name for field in parts.inner.fields}
    left_out = part.struct.field("text").is_null() if "text" in names else part.is_not_null()
    counted = pl.element().struct.field(content).list.eval(left_out).list.sum()
    return messages.list.eval(counted).list.sum().fill_null(0).cast(pl.UInt32)


def _said_in_transcript(text: pl.Expr, name: str, who: tuple[str, ...]) -> pl.Expr:
    """Return one side's turns; a text without marks is one turn of whom its column is of."""
    wanted, column_is = ("Human", "prompt") if who is _USERS else ("Assistant", "response")
    turn = pl.element()
    marked = text.str.replace_all(_TRANSCRIPT, f"{_MARK}${{1}}{_SAYS}").str.split(_MARK)
    turns = marked.list.eval(
        turn.filter(turn.str.starts_with(wanted + _SAYS))
        .str.strip_prefix(wanted + _SAYS)
        .str.strip_chars()
    )
    if name == "prompt":
        # A prompt may end with the speaker whose turn it is.
        turns = turns.list.eval(turn.filter(turn.str.len_bytes() > 0))
    if name.startswith(column_is):
        return pl.when(text.str.contains(_TRANSCRIPT)).then(turns).otherwise(_alone(text))
    return turns


def _from_json(name: str, origin: Origin) -> pl.Expr:
    """Messages of cells of JSON, each as it is: their contents need not be of one type."""
    speaker = "user" if name == "prompt" else "assistant"
    return decoded_cells(
        name,
        lambda frame: pl.Series(
            name,
            [None if cell is None else _messages(cell, speaker) for cell in frame[name]],
            _MESSAGES,
        ),
        lambda cell: _problem(cell, speaker),
        _MESSAGES,
        origin,
    )


def _problem(cell: str, speaker: str) -> str | None:
    try:
        _messages(cell, speaker)
    except (ValueError, RecursionError):
        return "is not a JSON list of messages with role and content"
    return None


def _messages(cell: str, speaker: str) -> list[dict[str, str | None]]:
    """Messages of a cell; text that is no list, and texts of a list, are said by `speaker`."""
    if not cell.lstrip().startswith("["):
        return [{"role": speaker, "content": cell}]
    messages = []
    for message in json.loads(cell):
        if not isinstance(message, dict):
            messages.append({"role": speaker, "content": _content(message)})
            continue
        roles = [message[name] for name in _SPEAKERS if name in message]
        contents = [message[name] for name in _CONTENTS if name in message]
        if not roles or not contents:
            raise ValueError("a message without role or content")
        messages.append({"role": str(roles[0]), "content": _content(contents[0])})
    return messages


def _content(content: Any) -> str | None:
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return None if content is None else _SURROGATE.sub("\ufffd", str(content))
