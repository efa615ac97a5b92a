"""What is read from the turns of a conversation: its plain text and its prompt key."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

TURN_SEPARATOR = "\n\n"


def joined_turns(column: str) -> pl.Expr:
    r"""Return the turns of a List(String) column as one text, a blank line between them.

    Examples
    --------
    >>> pl.DataFrame({"prompt": [["a", "b"], []]}).select(joined_turns("prompt"))[
    ...     "prompt"
    ... ].to_list()
    ['a\n\nb', '']
    """
    return pl.col(column).list.join(TURN_SEPARATOR)


def prompt_key(column: str = "prompt") -> pl.Expr:
    r"""Return the first turn, normalised so that retyped prompts meet in one group.

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


def battle_key(columns: Collection[str]) -> pl.Expr:
    r"""Return what keeps battles in one group: the prompt's key, or both responses without one.

    Parameters
    ----------
    columns : collection of str
        The columns there are; without the responses, the prompt decides alone.

    Examples
    --------
    >>> texts = {"prompt": [[""], [""], ["Hi"]], "response_a": [["x"], ["y"], ["z"]]}
    >>> battles = pl.DataFrame({**texts, "response_b": [["y"], ["x"], [""]]})
    >>> battles.select(battle_key(battles.columns)).to_series().n_unique()
    2
    """
    prompt = prompt_key()
    if not {"response_a", "response_b"} <= set(columns):
        return prompt
    a, b = joined_turns("response_a"), joined_turns("response_b")
    responses = pl.concat_str(
        pl.lit("\0"), pl.min_horizontal(a, b), pl.lit("\0"), pl.max_horizontal(a, b)
    )
    return pl.when(prompt.str.len_bytes() > 0).then(prompt).otherwise(responses)


def key_texts() -> list[pl.Expr]:
    """Return the columns that `battle_key` reads, responses only where it does: few are held."""
    alone = prompt_key().str.len_bytes() == 0
    return [
        pl.col("prompt"),
        *(pl.when(alone).then(pl.col(name)).alias(name) for name in ("response_a", "response_b")),
    ]
