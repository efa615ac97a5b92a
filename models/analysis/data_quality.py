"""What is odd about battles: turns, scripts, nulls, empty texts, repeats, identical responses."""

from __future__ import annotations

import polars as pl

from models.evaluation.intervals import wilson

PROMPT_COUNTS = (
    "prompt__characters",
    "prompt__cyrillic_letters",
    "prompt__foreign_function_words",
    "prompt__han_characters",
    "prompt__kana_and_hangul",
    "prompt__right_to_left_letters",
)
"""Columns of the text signal that `prompt_language` reads."""


def prompt_language(text: pl.DataFrame) -> pl.Series:
    """What language a prompt is in, as far as its letters and commonest words tell: String.

    Where a tenth of the characters are of a script, that script decides; else
    two or more frequent Spanish, Portuguese, French, German or Italian words
    make it other Latin.

    Examples
    --------
    >>> row = dict.fromkeys(PROMPT_COUNTS, 0) | {"prompt__characters": 9}
    >>> prompt_language(pl.DataFrame([row | {"prompt__cyrillic_letters": 8}])).to_list()
    ['Cyrillic']
    """
    tenth = pl.col("prompt__characters") / 10

    def written_in(column: str) -> pl.Expr:
        return (pl.col(column) > tenth) & (pl.col(column) > 0)

    language = (
        pl.when(written_in("prompt__right_to_left_letters"))
        .then(pl.lit("right to left"))
        .when(written_in("prompt__cyrillic_letters"))
        .then(pl.lit("Cyrillic"))
        .when(written_in("prompt__kana_and_hangul"))
        .then(pl.lit("Japanese or Korean"))
        .when(written_in("prompt__han_characters"))
        .then(pl.lit("Chinese"))
        .when(pl.col("prompt__foreign_function_words") >= 2)
        .then(pl.lit("other Latin"))
        .otherwise(pl.lit("English or undetermined"))
    )
    return text.select(language.alias("language"))["language"]


def oddities(battles: pl.DataFrame) -> pl.DataFrame:
    """How many battles have something that naive code stumbles over.

    Parameters
    ----------
    battles : DataFrame
        ``prompt__null, response_a__null, response_b__null`` (Boolean),
        ``prompt__empty, response_a__empty, response_b__empty`` (Boolean),
        ``identical`` (Boolean), ``group`` (equal for one prompt), ``content``
        (equal for battles with the same three texts) and ``label``.

    Returns
    -------
    DataFrame
        ``oddity, battles, of, share, low, high``.
    """
    repeated = pl.len().over("content") > 1
    contested = repeated & (pl.col("label").n_unique().over("content") > 1)
    counts = battles.select(
        pl.col("prompt__null").sum().alias("prompt holds a null"),
        pl.col("response_a__null").sum().alias("response a holds a null"),
        pl.col("response_b__null").sum().alias("response b holds a null"),
        pl.col("prompt__empty").sum().alias("prompt is empty"),
        (pl.col("response_a__empty") | pl.col("response_b__empty"))
        .sum()
        .alias("a response is empty"),
        pl.col("identical").sum().alias("responses are identical"),
        (pl.col("identical") & (pl.col("label") == 2)).sum().alias("... and voted a tie"),
        (pl.len().over("group") > 1).sum().alias("first prompt stands elsewhere too"),
        repeated.sum().alias("all three texts stand elsewhere too"),
        contested.sum().alias("... with another outcome"),
    ).row(0, named=True)
    frame = pl.DataFrame(
        {"oddity": list(counts), "battles": list(counts.values()), "of": len(battles)},
        schema={"oddity": pl.String, "battles": pl.Int64, "of": pl.Int64},
    )
    share, low, high = wilson(frame["battles"].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series("share", share), pl.Series("low", low), pl.Series("high", high)
    )


def counted(values: pl.Series, name: str) -> pl.DataFrame:
    """Each value with its battles and share, most frequent first.

    Examples
    --------
    >>> counted(pl.Series(["x", "y", "x"]), "kind")["battles"].to_list()
    [2, 1]
    """
    frame = (
        pl.DataFrame({name: values})
        .group_by(name)
        .agg(pl.len().cast(pl.Int64).alias("battles"))
        .sort(["battles", name], descending=[True, False])
        .with_columns(pl.lit(len(values), pl.Int64).alias("of"))
    )
    share, low, high = wilson(frame["battles"].to_numpy(), frame["of"].to_numpy())
    return frame.with_columns(
        pl.Series("share", share), pl.Series("low", low), pl.Series("high", high)
    )
