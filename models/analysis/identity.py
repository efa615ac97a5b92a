"""What the identity signal found: who is taken for whom."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from models.analysis.strengths import families_of
from models.evaluation.metrics import Interval, bootstrap_mean

OTHERS = "others"
"""Where families of few texts are gathered."""

_MASS = "posterior of "


def taken_for(
    battles: pl.DataFrame, posterior: Callable[[pl.Series], pl.DataFrame]
) -> pl.DataFrame:
    """Return a row a text: who wrote it, who is likeliest, and the posterior of each family.

    `battles` has ``response_a, response_b`` (String), ``model_a, model_b, group``;
    `posterior` is called with texts and returns a column a model.
    """
    parts = []
    for side in "ab":
        stated = posterior(battles[f"response_{side}"])
        chances = stated.to_numpy().astype(np.float64)
        kinds = families_of(pl.Series(stated.columns)).to_numpy()
        names = np.unique(kinds)
        masses = np.stack([chances[:, kinds == name].sum(axis=1) for name in names], axis=1)
        own = families_of(battles[f"model_{side}"]).alias("family")
        guessed = pl.Series("guessed_family", names[masses.argmax(axis=1)])
        posteriors = pl.DataFrame(masses, [_MASS + name for name in names])
        parts.append(pl.DataFrame([own, guessed, battles["group"]]).hstack(posteriors))
    return pl.concat(parts)


def family_accuracy(texts: pl.DataFrame, seed: int) -> tuple[Interval, float]:
    """Return how often the likeliest family wrote the text, and how often the most frequent."""
    right = (texts["family"] == texts["guessed_family"]).cast(pl.Float64).to_numpy()
    most = int(texts["family"].value_counts(sort=True)["count"][0])
    return bootstrap_mean(right, texts["group"].to_numpy(), seed), most / len(texts)


def family_confusion(texts: pl.DataFrame, fewest: int = 50) -> pl.DataFrame:
    """Return how much of the posterior of a family's texts lies on each family.

    The columns are ``family, told, texts, share, guessed``, the last being how
    often a family is the likeliest. The most frequent families come first; those
    of fewer than `fewest` texts are gathered as `OTHERS`.
    """
    masses = [column for column in texts.columns if column.startswith(_MASS)]
    counts = dict(texts["family"].value_counts().iter_rows())
    names = {*(column.removeprefix(_MASS) for column in masses), *counts}
    gathered = {name: name if counts.get(name, 0) >= fewest else OTHERS for name in names}
    long = (
        texts.with_row_index("text")
        .unpivot(masses, index=["text", "family", "guessed_family"], variable_name="told",
                 value_name="share")
        .with_columns(
            pl.col("told").str.strip_prefix(_MASS).replace_strict(gathered),
            pl.col("family", "guessed_family").replace_strict(gathered),
            pl.col("share").fill_null(0.0),
        )
        .group_by("text", "family", "guessed_family", "told")
        .agg(pl.col("share").sum())
    )  # fmt: skip
    return (
        long.group_by("family", "told")
        .agg(
            texts=pl.len(),
            share=pl.col("share").mean(),
            guessed=(pl.col("guessed_family") == pl.col("told")).mean(),
        )
        .sort(["texts", "family", "told"], descending=[True, False, False])
    )
