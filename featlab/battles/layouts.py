"""Known layouts of preference data, one card each, and how a file's layout is recognised.

A new layout is a card in `LAYOUTS`; nothing else has to know of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from featlab.battles.outcome_columns import ChosenFirst, LabelColumn, OneHotColumns
from featlab.battles.schema import ARENA, PROBABILITIES, TEXTS, WSDM, BattleSchema
from featlab.battles.sources import Source, engine_explained, scan_source, source_name
from featlab.battles.text_columns import TextFormat, holds_text
from featlab.errors import BattleError

_SAMPLE = 200
_LOOKS = {
    "conversation": r"^\s*\[\s*\{",
    "transcript": r"(?s)^\s*Human:.*\n\n?Assistant:",
    "json_list": r'^\s*(null\s*$|\[\s*("|\]|null|-?\d|t|f))',
}
_PROMPTS = ("prompt", "instruction", "question", "query", "input")
_WINNERS = ("winner", "preference", "label", "preferred", "outcome")


@dataclass(frozen=True)
class Layout:
    """A layout of preference data.

    Parameters
    ----------
    name : str
        As ``--battles.layout`` takes it.
    about : str
        Which data has it.
    marks : tuple of str
        Columns that a file of this layout has.
    a, b : tuple of str
        Names of the columns of responses or conversations, the first there is.
    id : tuple of str
        Names of the column of ids; none numbers the rows.
    chosen_first : bool
        Whether the first response is the chosen one.
    turn : str, optional
        Column that says how many turns were judged.
    """

    name: str
    about: str
    marks: tuple[str, ...]
    a: tuple[str, ...] = ("conversation_a",)
    b: tuple[str, ...] = ("conversation_b",)
    id: tuple[str, ...] = ("question_id", "id")
    chosen_first: bool = False
    turn: str | None = None


LAYOUTS = (
    Layout(
        "arena-33k",
        "lmsys/chatbot_arena_conversations",
        ("question_id", "conversation_a", "conversation_b", "judge", "tstamp"),
    ),
    Layout(
        "mt-bench",
        "judgements of MT-bench's conversations, each up to a turn",
        ("conversation_a", "conversation_b", "judge", "turn"),
        id=(),
        turn="turn",
    ),
    Layout(
        "arena-100k",
        "lmarena-ai/arena-human-preference-100k",
        ("question_id", "conversation_a", "conversation_b"),
    ),
    Layout(
        "arena-140k",
        "lmarena-ai/arena-human-preference-140k: contents may be lists of parts",
        ("conversation_a", "conversation_b"),
        id=("id",),
    ),
    Layout(
        "chosen-rejected",
        "hh-rlhf, UltraFeedback, RewardBench, TRL: a chosen answer and a rejected one",
        (),
        a=("chosen", "chosen_response", "response_chosen"),
        b=("rejected", "rejected_response", "response_rejected"),
        id=("id", "prompt_id"),
        chosen_first=True,
    ),
    Layout(
        "wsdm",
        'Kaggle "WSDM Cup - Multilingual Chatbot Arena": a column names the winner',
        ("winner",),
        a=("response_a",),
        b=("response_b",),
        id=("id",),
    ),
    Layout(
        "wsdm",
        "its test file",
        ("scored",),
        a=("response_a",),
        b=("response_b",),
        id=("id",),
    ),
    Layout(
        "arena",
        'Kaggle "LLM Classification Finetuning": three columns of 0 and 1',
        (),
        a=("response_a", "answer_a", "completion_a", "response_1", "answer_1"),
        b=("response_b", "answer_b", "completion_b", "response_2", "answer_2"),
        id=("id", "question_id"),
    ),
)

LAYOUT_NAMES = tuple(dict.fromkeys(layout.name for layout in LAYOUTS))


@dataclass(frozen=True)
class Recognised:
    """The schema that a file was found to have.

    Parameters
    ----------
    schema : BattleSchema
    reason : str
        What it was recognised by, as a clause.
    """

    schema: BattleSchema
    reason: str


def recognise(
    source: Source, layout: str = "auto", given: Mapping[str, Any] | None = None
) -> Recognised:
    """Tell which layout a source has, from its columns and its first cells.

    Parameters
    ----------
    source : path, pattern, frame or list of dicts
        As `featlab.battles.read_battles` takes it.
    layout : str
        A name of `LAYOUTS` in place of what the columns tell.
    given : mapping, optional
        Fields of `BattleSchema` that are set by hand.

    Raises
    ------
    BattleError
        When the source cannot be read, or lacks the columns of the layout asked for.

    Examples
    --------
    >>> rows = [{"chosen": "Yes.", "rejected": "No.", "prompt": "Is it so?"}]
    >>> found = recognise(rows)
    >>> found.schema.layout, found.schema.texts, found.reason
    ('chosen-rejected', 'plain', 'it has the columns chosen, rejected')
    """
    roles = {name: value for name, value in (given or {}).items() if value is not None}
    frame = scan_source(source)
    present = _schema_of(frame, source)
    written = _as_written(present)
    card = _card_of(written, layout)
    asked = next((known for known in LAYOUTS if known.name == layout), None)
    if card is None and asked is not None and not _sides(asked, written, roles):
        sides = dict.fromkeys((*asked.marks, *asked.a, *asked.b))
        raise BattleError(
            f"has not the columns of layout {layout} ({', '.join(sides)}); "
            f"it has {', '.join(present.names())}",
            source=source_name(source),
            remedy="leave --battles.layout out, or name the roles of its columns",
        )
    if card is None:
        base = WSDM if layout == "wsdm" else ARENA
        schema = replace(
            base,
            id=base.id if base.id in written else None,
            layout=base.layout if layout == "auto" else layout,
        )
        reason = "nothing else fits" if layout == "auto" else "it was asked for"
        if roles.keys() >= {"response_a", "response_b"}:
            schema = _with_what_there_is(schema, written)
            reason = "its roles are given"
    else:
        schema = _schema_for(card, written)
        seen = dict.fromkeys((*card.marks, schema.response_a, schema.response_b))
        reason = f"it has the columns {', '.join(written[name] for name in seen)}"
        reason = reason if layout == "auto" else "it was asked for"
        if len(schema.outcome.names) > 1 and any(name in written for name in _WINNERS):
            reason += f"; {', '.join(schema.outcome.names)} say who won"
    schema = replace(_renamed(schema, written), **roles)
    if schema.prompt not in present and "prompt" not in roles and _talks(frame, present, schema):
        schema = replace(schema, prompt=None)
    if "texts" not in roles:
        found = text_format(frame, present, schema)
        schema = schema if found is None else replace(schema, texts=found)
    return Recognised(schema, reason)


def _as_written(present: Collection[str]) -> dict[str, str]:
    """Return names without blanks around them and in lower case -> names as the file has them."""
    known = {name.strip().lower(): name for name in reversed(list(present))}
    # A name that is exact comes first.
    return known | {name: name for name in present}


def _renamed(schema: BattleSchema, written: Mapping[str, str]) -> BattleSchema:
    """Return the schema with the names that the file has."""

    def of(part: BattleSchema | OneHotColumns | LabelColumn, *roles: str) -> dict[str, Any]:
        return {role: written.get(name, name) for role in roles for name in [getattr(part, role)]}

    outcome = schema.outcome
    match outcome:
        case OneHotColumns():
            outcome = replace(outcome, **of(outcome, "a", "b", "tie"))
        case LabelColumn():
            outcome = replace(outcome, **of(outcome, "column"))
    columns = ("id", *TEXTS, "model_a", "model_b", "language", "turn")
    return replace(schema, outcome=outcome, **of(schema, *columns))


def _schema_of(frame: pl.LazyFrame, source: Source) -> pl.Schema:
    with engine_explained(source):
        return frame.collect_schema()


def _card_of(present: Collection[str], layout: str) -> Layout | None:
    for card in LAYOUTS:
        fits = set(card.marks) <= set(present)
        fits &= any(name in present for name in card.a) and any(name in present for name in card.b)
        if fits and layout in ("auto", card.name):
            return card
    return next((card for card in LAYOUTS if card.name == layout and _sides(card, present)), None)


def _sides(card: Layout, present: Collection[str], given: Collection[str] = ()) -> bool:
    """Whether both responses are there under one of their names, or their roles are given."""
    return all(
        role in given or any(name in present for name in names)
        for role, names in (("response_a", card.a), ("response_b", card.b))
    )


def _schema_for(card: Layout, present: Collection[str]) -> BattleSchema:
    def first(names: tuple[str, ...], other: str | None = None) -> str | None:
        return next((name for name in names if name in present), other)

    schema = BattleSchema(
        id=first(card.id, None),
        prompt=first(_PROMPTS, "prompt"),
        response_a=first(card.a) or card.a[0],
        response_b=first(card.b) or card.b[0],
        language="language" if card.name != "arena" else None,
        turn=first((card.turn,)) if card.turn else None,
        layout=card.name,
        texts=WSDM.texts if card.name == "wsdm" else ARENA.texts,
    )
    if not card.chosen_first:
        return _with_what_there_is(schema, present)
    return replace(
        schema,
        outcome=ChosenFirst(),
        model_a=first(("chosen_model", "chosen-model", "model_chosen")),
        model_b=first(("rejected_model", "rejected-model", "model_rejected")),
        exchange=0,
    )


def _with_what_there_is(schema: BattleSchema, present: Collection[str]) -> BattleSchema:
    """Return the schema with the outcome that the file states: columns of 0 and 1, or words."""
    if set(PROBABILITIES[:2]) <= set(present):
        one_hot = OneHotColumns() if PROBABILITIES[2] in present else OneHotColumns(tie=None)
        return replace(schema, outcome=one_hot)
    column = next((name for name in _WINNERS if name in present), None)
    if column is None:
        known = LabelColumn() if schema.layout != "arena" else OneHotColumns()
        return replace(schema, outcome=known)
    return replace(schema, outcome=LabelColumn(column))


def _talks(frame: pl.LazyFrame, present: pl.Schema, schema: BattleSchema) -> bool:
    """Whether the responses are conversations, which tell their prompts, or no texts at all."""
    dtype = present.get(schema.response_a)
    if dtype is None:
        return False
    told = text_format(frame, present, replace(schema, prompt=None))
    words = holds_text(dtype) or dtype in (pl.Categorical, pl.Enum)
    return not words or told in ("conversation", "transcript")


def text_format(frame: pl.LazyFrame, present: pl.Schema, schema: BattleSchema) -> TextFormat | None:
    """Return what the first cells of text columns hold; ``None`` where there are no strings.

    Most of them decide: a broken cell among JSON lists is broken, and a plain
    text in brackets is plain.
    """
    order = present.names()
    strings = [
        pl.nth(order.index(name)).alias(role)
        for role, name in schema.text_roles.items()
        if name in present and present[name] in (pl.String, pl.Categorical, pl.Enum)
    ]
    if not strings:
        return None
    try:
        with engine_explained("", quiet=True):
            cells = frame.select(strings).head(_SAMPLE).collect()
    except BattleError:
        # Whoever reads the rows says what is wrong with them.
        return None
    shares = [_shares(column.cast(pl.String).drop_nulls()) for column in cells]
    shares = [share for share in shares if share]
    if not shares:
        return None
    told: tuple[Literal["conversation", "transcript"], ...] = ("conversation", "transcript")
    for found in told:
        if any(share[found] > 0.5 for share in shares):
            return found
    lists = sum(share["json_list"] for share in shares) / len(shares)
    return "json_list" if lists >= 0.5 else "plain"


def _shares(cells: pl.Series) -> dict[str, float]:
    """Return the share of a column's cells that look like each format; nothing where none say."""
    filled = cells.filter(cells.str.strip_chars() != "")
    if filled.is_empty():
        return {}
    return {
        name: int(filled.str.contains(pattern).sum()) / len(filled)
        for name, pattern in _LOOKS.items()
    }


def fitting(source: Source, schema: BattleSchema, *, outcomes: bool = True) -> Recognised:
    """Return a known schema where a source has its columns, and what is recognised elsewhere.

    Parameters
    ----------
    source : path, pattern, frame or list of dicts
    schema : BattleSchema
        How the training file was read, say.
    outcomes : bool
        Whether its outcome columns have to be there as well.
    """
    frame = scan_source(source)
    present = _schema_of(frame, source)
    needed = {*schema.required, *(schema.outcome.names if outcomes else ())} - {schema.turn}
    if not needed <= set(present):
        return recognise(source)
    found = text_format(frame, present, schema)
    turn = schema.turn if schema.turn in present else None
    # Rows that a training file told by their numbers say nothing of another file's ids.
    own = schema.id or recognise(source).schema.id
    fitted = replace(schema, id=own, turn=turn, texts=found or schema.texts)
    return Recognised(fitted, f"it has the columns of {source_name(source)}")
