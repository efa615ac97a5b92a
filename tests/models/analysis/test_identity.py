"""The analysis of the identity signal adds up, and knows better than guessing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from featlab.battles import joined_turns, read_battles
from featlab.generated import generate_battles
from featlab.signals.identity.model_families import family
from models.analysis.identity import (
    OTHERS,
    family_accuracy,
    family_confusion,
    taken_for,
)

FEWEST = 60


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    read = read_battles(generate_battles(600, seed=4).train).with_row_index("group")
    sides = (joined_turns(f"response_{side}").alias(f"response_{side}") for side in "ab")
    return read.with_columns(*sides).collect()


@pytest.fixture(scope="module")
def texts(battles: pl.DataFrame) -> pl.DataFrame:
    """A signal that is half sure of the true writer, as if told, and else of no one."""
    names = sorted({*battles["model_a"], *battles["model_b"]})
    true = {
        text: name
        for side in "ab"
        for text, name in battles.select(f"response_{side}", f"model_{side}").iter_rows()
    }

    def posterior(given: pl.Series) -> pl.DataFrame:
        chances = np.full((len(given), len(names)), 0.5 / len(names))
        for row, text in enumerate(given):
            chances[row, names.index(true[text])] += 0.5
        return pl.DataFrame(chances, schema=names)

    return taken_for(battles, posterior)


def test_a_writer_who_is_told_is_found(texts: pl.DataFrame, battles: pl.DataFrame) -> None:
    assert len(texts) == 2 * len(battles)
    accuracy, most_frequent = family_accuracy(texts, seed=0)
    assert accuracy.value > 0.95 > 3 * most_frequent
    assert accuracy.low <= accuracy.value <= accuracy.high


def test_the_confusion_of_a_family_adds_up(texts: pl.DataFrame, battles: pl.DataFrame) -> None:
    confusion = family_confusion(texts, FEWEST)
    sums = confusion.group_by("family").agg(
        pl.col("share", "guessed").sum(), pl.col("texts").n_unique().alias("counts")
    )
    np.testing.assert_allclose(sums["share"], 1.0, atol=1e-5)
    np.testing.assert_allclose(sums["guessed"], 1.0, atol=1e-9)
    assert (sums["counts"] == 1).all()
    assert confusion.unique("family")["texts"].sum() == 2 * len(battles)
    written = pl.concat([battles["model_a"], battles["model_b"]])
    counts = pl.Series([family(model) for model in written]).value_counts()
    kept = set(counts.filter(pl.col("count") >= FEWEST).to_series().to_list())
    assert set(confusion["family"]) - {OTHERS} == kept
    own = confusion.filter(pl.col("family") == pl.col("told"), pl.col("family") != OTHERS)
    assert own["share"].to_numpy().min() > 0.5
