"""What an encoder reads: texts by themselves, or prompts together with a response.

Passages know their content keys, so that the same text in another row, column
or file is the same passage, and hand an encoder only those it still has to
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featlab.battles.turns import TURN_SEPARATOR
from featlab.errors import FeatureError
from featlab.vectors.segments import Keys, Vectors, content_keys

Rows: TypeAlias = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 8192


class TextEncoder(Protocol):
    """What must be able to encode; `featlab.encoder.Encoder` can."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def encode_texts(self, texts: Sequence[str], /) -> Vectors:
        """Compute one vector a text, shape (n, dimension)."""

    def encode_conversations(
        self, prompts: Sequence[Sequence[str]], responses: Sequence[Sequence[str]], /
    ) -> Vectors:
        """Compute one vector a prompt with its response, shape (n, dimension)."""


@dataclass(frozen=True, eq=False)
class Texts:
    r"""A column of texts.

    Parameters
    ----------
    column : Series
        String, Categorical or Enum; or List(String), whose turns are joined
        with a blank line. A null counts as the empty text.

    Raises
    ------
    FeatureError
        When the column holds something else.

    Examples
    --------
    >>> keys = Texts(pl.Series(["one\n\ntwo", "one"])).keys()
    >>> bool(Texts(pl.Series([["one", "two"]])).keys()[0] == keys[0])
    True
    """

    column: pl.Series
    kind: ClassVar = "text"
    """Names the way they are read; part of their keys."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "column", _as_text(self.column))

    def __len__(self) -> int:
        return len(self.column)

    def keys(self) -> Keys:
        """Return the content key of each text, shape (n,)."""
        return content_keys(self.kind, (text.encode() for text in _values(self.column)))

    def sizes(self) -> Rows:
        """Return the bytes of UTF-8 of each text, shape (n,)."""
        return self.column.str.len_bytes().cast(pl.Int64).to_numpy()

    def items(self, rows: Rows) -> list[str]:
        """Return some of the texts."""
        return self.column.gather(rows).to_list()

    @staticmethod
    def encode(encoder: TextEncoder, items: list[str]) -> Vectors:
        """Compute the vectors of what `items` returned."""
        return encoder.encode_texts(items)


@dataclass(frozen=True, eq=False)
class Conversations:
    """Two columns: prompts, and one response to each.

    Parameters
    ----------
    prompts, responses : Series
        List(String), one entry a turn, or String for a single turn. A null
        counts as no turn, or as an empty one where it stands inside a list.

    Raises
    ------
    FeatureError
        When a column holds something else, or their lengths differ.
    """

    prompts: pl.Series
    responses: pl.Series
    kind: ClassVar = "conversation"

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", _as_turns(self.prompts))
        object.__setattr__(self, "responses", _as_turns(self.responses))
        if len(self.prompts) != len(self.responses):
            raise FeatureError(
                f"there are {len(self.prompts)} prompts and {len(self.responses)} responses; "
                "each prompt needs one"
            )

    def __len__(self) -> int:
        return len(self.prompts)

    def keys(self) -> Keys:
        """Return the content key of each conversation, shape (n,)."""
        pairs = zip(_values(self.prompts), _values(self.responses), strict=True)
        contents = (_unambiguous(prompt) + b"/" + _unambiguous(answer) for prompt, answer in pairs)
        return content_keys(self.kind, contents)

    def sizes(self) -> Rows:
        """Return the bytes of each conversation, both sides together."""
        prompts, responses = (
            side.list.eval(pl.element().str.len_bytes()).list.sum().cast(pl.Int64).to_numpy()
            for side in (self.prompts, self.responses)
        )
        total: Rows = prompts + responses
        return total

    def items(self, rows: Rows) -> list[tuple[list[str], list[str]]]:
        """Return some of the conversations: the turns of each side."""
        prompts, responses = (side.gather(rows) for side in (self.prompts, self.responses))
        return list(zip(prompts.to_list(), responses.to_list(), strict=True))

    @staticmethod
    def encode(encoder: TextEncoder, items: list[tuple[list[str], list[str]]]) -> Vectors:
        """Compute the vectors of what `items` returned."""
        prompts, responses = zip(*items, strict=True)
        return encoder.encode_conversations(prompts, responses)


Passages: TypeAlias = Texts | Conversations
"""A column of passages."""


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.List(pl.String):
        column = column.list.eval(pl.element().fill_null("")).list.join(TURN_SEPARATOR)
    elif isinstance(column.dtype, pl.Categorical | pl.Enum | pl.Null):
        column = column.cast(pl.String)
    elif column.dtype != pl.String:
        raise _no_text(column)
    return column.fill_null("")


def _as_turns(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.to_frame().select(pl.concat_list(pl.all())).to_series()
    elif column.dtype != pl.List(pl.String):
        raise _no_text(column)
    return column.list.eval(pl.element().fill_null("")).fill_null([])


def _no_text(column: pl.Series) -> FeatureError:
    return FeatureError(
        f"column '{column.name}' is {column.dtype}, which is no text; "
        "choose String or List(String) columns"
    )


def _unambiguous(turns: list[str]) -> bytes:
    encoded = [turn.encode() for turn in turns]
    # Lengths first: turns may hold any character, so no separator is safe.
    return b" ".join([b",".join(b"%d" % len(turn) for turn in encoded), *encoded])


def _values(column: pl.Series) -> Iterator[Any]:
    # In chunks, so that the texts of a whole column are never Python strings at once.
    for first in range(0, len(column), _ROWS_AT_ONCE):
        yield from column.slice(first, _ROWS_AT_ONCE).to_list()
