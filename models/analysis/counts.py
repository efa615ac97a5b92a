"""What is counted over battles: outcomes, records of models, languages, oddities.

Every table has ``of``, what its counts are shares of, and Wilson's intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from featlab.battles import OUTCOMES, TIE
from models.evaluation.intervals import Floats, with_shares
from models.probabilities import Labels

LENGTH_RATIOS = (1 / 3, 2 / 3, 3 / 2, 3.0)
"""Bounds of the bins of characters of a / characters of b."""

LENGTH_RATIO_BINS = (
    "less than a third", "a third to two thirds", "about the same", "1.5 to 3 times",
    "more than 3 times",
)  # fmt: skip
"""How long a is, as a multiple of b."""


def outcome_counts(labels: Labels) -> pl.DataFrame:
    """Return ``outcome, battles, of, share, low, high``: one row an outcome."""
    names = outcomes_in(labels)
    counts = np.bincount(labels, minlength=len(names))
    return with_shares(pl.DataFrame({"outcome": names, "battles": counts, "of": len(labels)}))


def outcomes_in(labels: Labels) -> tuple[str, ...]:
    """Return the outcomes that battles had: without ties, two."""
    return OUTCOMES if (labels == TIE).any() else OUTCOMES[:TIE]


def counted(values: pl.Series, name: str) -> pl.DataFrame:
    """Return each value with its battles and share, most frequent first."""
    return with_shares(
        pl.DataFrame({name: values})
        .group_by(name)
        .agg(pl.len().cast(pl.Int64).alias("battles"))
        .sort(["battles", name], descending=[True, False])
        .with_columns(pl.lit(len(values), pl.Int64).alias("of"))
    )


def model_records(battles: pl.DataFrame) -> pl.DataFrame:
    """Return each model's battles, wins, ties and losses, and its share of decisive battles won.

    The columns are ``model, battles, wins, ties, losses, of, share, low, high``,
    most battles first; ``of`` counts the decisive ones. Sides without a name are
    left out.
    """
    label = pl.col("label")
    sides = [
        battles.select(
            pl.col(column).alias("model"),
            (label == win).alias("wins"),
            (label == 2).alias("ties"),
            (label == 1 - win).alias("losses"),
        )
        for column, win in (("model_a", 0), ("model_b", 1))
    ]
    records = (
        pl.concat(sides)
        .drop_nulls("model")
        .group_by("model")
        .agg(pl.len().alias("battles"), pl.col("wins", "ties", "losses").sum())
        .sort(["battles", "model"], descending=[True, False])
        .with_columns((pl.col("wins") + pl.col("losses")).alias("of"))
    )
    return with_shares(records, "wins")


def outcomes_by_length_ratio(
    lengths_a: Floats, lengths_b: Floats, labels: Labels, ratios: Sequence[float] = LENGTH_RATIOS
) -> pl.DataFrame:
    """Return ``length_of_a, outcome, battles, of, share, low, high`` by the ratio of lengths."""
    place = np.digitize(np.maximum(lengths_a, 1.0) / np.maximum(lengths_b, 1.0), ratios)
    counts = np.zeros((len(LENGTH_RATIO_BINS), 3), int)
    np.add.at(counts, (place, labels), 1)
    rows = [
        (name, outcome, int(counts[index, label]), int(counts[index].sum()))
        for index, name in enumerate(LENGTH_RATIO_BINS)
        for label, outcome in enumerate(outcomes_in(labels))
    ]
    return with_shares(
        pl.DataFrame(rows, ["length_of_a", "outcome", "battles", "of"], orient="row")
    )


def prompt_language(text: pl.DataFrame) -> pl.Series:
    """Return what language a prompt is in, as far as its letters and commonest words tell.

    Where a tenth of the characters are of a script, that script decides; else
    two or more frequent Spanish, Portuguese, French, German or Italian words
    make it other Latin.

    Examples
    --------
    >>> row = {f"prompt__{kind}": 0 for kind in SCRIPTS} | {"prompt__foreign_function_words": 0}
    >>> row |= {"prompt__characters": 9, "prompt__cyrillic_letters": 8}
    >>> prompt_language(pl.DataFrame([row])).to_list()
    ['Cyrillic']
    """
    tenth = pl.col("prompt__characters") / 10
    scripts = [
        pl.when((pl.col(f"prompt__{kind}") > tenth) & (pl.col(f"prompt__{kind}") > 0)).then(
            pl.lit(name)
        )
        for kind, name in SCRIPTS.items()
    ]
    latin = pl.when(pl.col("prompt__foreign_function_words") >= 2).then(pl.lit("other Latin"))
    language = pl.coalesce(*scripts, latin, pl.lit("English or undetermined"))
    return text.select(language.alias("language"))["language"]


SCRIPTS = {
    "right_to_left_letters": "right to left",
    "cyrillic_letters": "Cyrillic",
    "kana_and_hangul": "Japanese or Korean",
    "han_characters": "Chinese",
}
"""Feature of the prompt -> the language that it tells; the first that holds decides."""


def oddities(battles: pl.DataFrame) -> pl.DataFrame:
    """Return how many battles have something that naive code stumbles over.

    `battles` has ``x__null`` and ``x__empty`` of ``prompt, response_a,
    response_b``, ``identical``, ``group`` (equal for one prompt), ``content``
    (equal for battles with the same three texts) and ``label``.
    """
    identical, label = pl.col("identical"), pl.col("label")
    repeated = pl.len().over("content") > 1
    ties = (battles["label"] == TIE).any()
    flags = {
        "prompt holds a null": pl.col("prompt__null"),
        "response a holds a null": pl.col("response_a__null"),
        "response b holds a null": pl.col("response_b__null"),
        "prompt is empty": pl.col("prompt__empty"),
        "a response is empty": pl.col("response_a__empty") | pl.col("response_b__empty"),
        "responses are identical": identical,
        **({"... and voted a tie": identical & (label == TIE)} if ties else {}),
        "first prompt stands elsewhere too": pl.len().over("group") > 1,
        "all three texts stand elsewhere too": repeated,
        "... with another outcome": repeated & (label.n_unique().over("content") > 1),
    }
    counts = battles.select(flag.sum().alias(name) for name, flag in flags.items()).row(0)
    frame = pl.DataFrame(
        {"oddity": list(flags), "battles": counts, "of": len(battles)},
        schema={"oddity": pl.String, "battles": pl.Int64, "of": pl.Int64},
    )
    return with_shares(frame)
