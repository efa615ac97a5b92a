"""The analysis of the identity signal adds up, and knows better than guessing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featlab.battles import read_battles
from featlab.battles.folds import make_folds
from featlab.errors import ConfigError
from featlab.generated import generate_battles
from featlab.signals.identity.model_families import family
from featlab.signals.identity.signal import IdentitySignal
from models.analysis.identity_report import OTHERS, IdentityAnalysis, identity_analysis
from models.stacking.out_of_fold import out_of_fold

FEWEST = 60


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(600, seed=4).train).collect()


@pytest.fixture(scope="module")
def inputs(battles: pl.DataFrame) -> tuple[np.ndarray, pl.DataFrame, list, np.ndarray]:
    folding = make_folds(battles, 3, seed=0)
    folds = folding["fold"].to_numpy().astype(np.int64)
    columns, fitted = out_of_fold(lambda fold: IdentitySignal(seed=fold), battles, folds)
    return folds, columns, fitted, folding["group"].to_numpy()


@pytest.fixture(scope="module")
def analysis(battles: pl.DataFrame, inputs: tuple) -> IdentityAnalysis:
    return identity_analysis(battles, *inputs, resamples=20, fewest=FEWEST)


def test_writers_are_told_better_than_by_the_most_frequent(analysis: IdentityAnalysis) -> None:
    assert analysis.accuracy["level"].to_list() == ["model", "family"]
    assert (analysis.accuracy["low"] > analysis.accuracy["most_frequent"]).all()


def test_the_confusion_of_a_family_adds_up(
    analysis: IdentityAnalysis, battles: pl.DataFrame
) -> None:
    sums = analysis.confusion.group_by("family").agg(
        pl.col("share", "guessed").sum(), pl.col("texts").n_unique().alias("counts")
    )
    np.testing.assert_allclose(sums["share"], 1.0, atol=1e-5)
    np.testing.assert_allclose(sums["guessed"], 1.0, atol=1e-9)
    assert (sums["counts"] == 1).all()
    texts = analysis.confusion.unique("family")
    assert texts["texts"].sum() == 2 * len(battles)
    written = pl.concat([battles["model_a"], battles["model_b"]])
    counts = pl.Series([family(model) for model in written]).value_counts()
    kept = set(counts.filter(pl.col("count") >= FEWEST).to_series().to_list())
    assert set(texts["family"]) - {OTHERS} == kept
    own = analysis.confusion.filter(pl.col("family") == pl.col("told"), pl.col("family") != OTHERS)
    assert own["share"].mean() > 2 / len(texts)


def test_the_oracle_is_the_measure_of_what_is_recovered(analysis: IdentityAnalysis) -> None:
    prior, identity, oracle = analysis.recovered.rows(named=True)
    assert [prior["who"], identity["who"], oracle["who"]] == ["prior", "identity", "oracle"]
    assert prior["gain"] is None
    assert oracle["share"] == 1.0
    assert identity["gain"] == pytest.approx(prior["log_loss"] - identity["log_loss"])
    assert identity["share"] == pytest.approx(identity["gain"] / oracle["gain"])
    assert identity["share_low"] < identity["share"] < identity["share_high"]
    assert identity["log_loss"] < prior["log_loss"]


def test_strengths_come_with_intervals(analysis: IdentityAnalysis, battles: pl.DataFrame) -> None:
    strengths = analysis.strengths
    assert set(strengths["model"]) == {*battles["model_a"], *battles["model_b"]}
    assert strengths["strength"].is_sorted(descending=True)
    assert (strengths["strength_low"] < strengths["strength_high"]).all()


def test_battles_without_names_are_left_out(battles: pl.DataFrame, inputs: tuple) -> None:
    folds, columns, fitted, groups = inputs
    nameless = battles.head(30).with_columns(model_a=pl.lit(None, pl.String))
    extended = identity_analysis(
        pl.concat([nameless, battles]),
        np.concatenate([folds[:30], folds]),
        pl.concat([columns.head(30), columns]),
        fitted,
        np.concatenate([groups[:30], groups]),
        resamples=5,
    )
    plain = identity_analysis(battles, *inputs, resamples=5)
    assert extended.recovered.equals(plain.recovered)
    assert_frame_equal(extended.confusion, plain.confusion)


def test_a_missing_fold_model_is_named(battles: pl.DataFrame, inputs: tuple) -> None:
    folds, columns, fitted, groups = inputs
    with pytest.raises(ConfigError, match="2 fitted signals for 3 folds"):
        identity_analysis(battles, folds, columns, fitted[:2], groups)
