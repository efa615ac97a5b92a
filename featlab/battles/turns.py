"""What is read from the turns of a conversation: its plain text and its prompt key."""

from __future__ import annotations

import polars as pl

TURN_SEPARATOR = "\n\n"


def joined_turns(column: str) -> pl.Expr:
    r"""The turns of a List(String) column as one text, a blank line between them.

    Examples
    --------
    >>> pl.DataFrame({"prompt": [["a", "b"], []]}).select(joined_turns("prompt"))[
    ...     "prompt"
    ... ].to_list()
    ['a\n\nb', '']
    """
    return pl.col(column).list.join(TURN_SEPARATOR)


def prompt_key(column: str = "prompt") -> pl.Expr:
    r"""The first turn, normalised so that retyped prompts meet in one group.

    Unicode NFKC, lower case, white space collapsed, ends stripped.

    Examples
    --------
    >>> frame = pl.DataFrame({"prompt": [["Tell me\n a  joke "], ["tell ME a joke", "more"]]})
    >>> frame.select(prompt_key())["prompt"].n_unique()
    1
    """
    first = pl.col(column).list.first().fill_null("")
    return (
        first.str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
    )
