"""The identity signal: learns from names, reads none, and beats the prior out of fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from sklearn.linear_model import LogisticRegression

from featlab.battles import read_battles, swap_battles
from featlab.battles.folds import make_folds
from featlab.errors import BattleError, BundleError
from featlab.generated import generate_battles
from featlab.parity import Parity, swap
from featlab.signals.identity.authorship import fit_authorship, shapes
from featlab.signals.identity.signal import COLUMNS, DESCRIPTION, IdentitySignal
from featlab.signals.identity.sparse_softmax import ridge_softmax
from models.stacking.out_of_fold import out_of_fold
from tests.strategies import battle_frames

NAMES = ("model_a", "model_b")


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(400, seed=4).train).collect()


@pytest.fixture(scope="module")
def signal(battles: pl.DataFrame) -> IdentitySignal:
    return IdentitySignal(seed=1).fit(battles.head(300))


def test_exchanging_the_sides_exchanges_the_columns_exactly(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    held_out = battles.tail(100)
    columns = signal.transform(held_out)
    assert signal.parity() == COLUMNS
    assert set(COLUMNS.values()) == {Parity.ODD, Parity.EVEN}
    assert set(columns.schema.dtypes()) == {pl.Float32}
    assert columns.columns == list(signal.get_feature_names_out())
    assert signal.transform(swap_battles(held_out)).equals(swap(columns, COLUMNS))
    assert columns.select(pl.all().std()).min_horizontal().item() > 0


def test_no_name_and_no_outcome_is_read(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    held_out = battles.tail(100)
    found = signal.transform(held_out)
    assert signal.transform(held_out.drop("label", *NAMES)).equals(found)


def test_permuting_the_names_of_held_out_battles_changes_nothing(battles: pl.DataFrame) -> None:
    folds = make_folds(battles, 3, seed=0)["fold"].to_numpy().astype(np.int64)
    held_out = np.flatnonzero(folds == 0)
    order = np.random.default_rng(0).permutation(held_out)
    permuted = battles.with_columns(
        battles[name].scatter(held_out, battles[name][order]) for name in NAMES
    )
    assert not permuted["model_a"].equals(battles["model_a"])
    columns, again = (
        out_of_fold(lambda fold: IdentitySignal(seed=fold), frame, folds)[0]
        for frame in (battles, permuted)
    )
    assert again[held_out].equals(columns[held_out])
    # The other folds train on those rows, so their columns do change.
    assert not again.equals(columns)


def test_a_battle_is_told_alike_in_any_company(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    held_out = battles.tail(100)
    order = np.random.default_rng(0).permutation(100)[:37]
    assert signal.transform(held_out[order]).equals(signal.transform(held_out)[order])


def test_fitting_again_gives_the_same(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    again = IdentitySignal(seed=1).fit(battles.head(300))
    assert again.transform(battles.tail(20)).equals(signal.transform(battles.tail(20)))


def test_it_loads_as_it_was_saved(
    signal: IdentitySignal, battles: pl.DataFrame, tmp_path: Path
) -> None:
    signal.save(tmp_path)
    loaded = IdentitySignal.load(tmp_path)
    assert loaded.get_params() == signal.get_params()
    assert loaded.transform(battles.tail(20)).equals(signal.transform(battles.tail(20)))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    (tmp_path / DESCRIPTION).write_text('{"format": 99}')
    with pytest.raises(BundleError, match="format 99"):
        IdentitySignal.load(tmp_path)


def test_out_of_fold_it_beats_the_prior_by_more_than_its_error() -> None:
    battles = read_battles(generate_battles(900, seed=4).train).collect()
    folds = make_folds(battles, 3, seed=0)["fold"].to_numpy().astype(np.int64)
    columns, _ = out_of_fold(lambda fold: IdentitySignal(seed=fold), battles, folds)
    labels = battles["label"].to_numpy()
    values = columns.to_numpy()
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    parts = []
    for fold in range(3):
        train, test = folds != fold, folds == fold
        fitted = LogisticRegression(C=0.1).fit(values[train], labels[train])
        chances = fitted.predict_proba(values[test])[np.arange(test.sum()), labels[test]]
        prior = np.bincount(labels[train], minlength=3) / train.sum()
        parts.append(np.log(chances) - np.log(prior[labels[test]]))
    gains = np.concatenate(parts)
    assert gains.mean() > 3 * gains.std() / np.sqrt(len(gains))


def test_the_posterior_finds_the_writer(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    held_out = battles.tail(100)
    texts = held_out["response_a"].list.join("\n\n")
    posterior = signal.posterior(texts)
    assert np.allclose(posterior.sum_horizontal(), 1.0, atol=1e-5)
    guesses = np.array(posterior.columns)[posterior.to_numpy().argmax(axis=1)]
    chance = 1.0 / len(posterior.columns)
    assert (guesses == held_out["model_a"].to_numpy()).mean() > 5 * chance


def test_strengths_are_those_of_the_training_rows_only(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    training = battles.head(300)
    played = pl.concat([training["model_a"], training["model_b"]]).value_counts()
    games = dict(played.iter_rows())
    assert dict(zip(signal.strengths_.names, signal.strengths_.games, strict=True)) == games


def test_models_unseen_in_training_are_no_trouble(battles: pl.DataFrame) -> None:
    rare = battles["model_a"][0]
    without = battles.filter((pl.col("model_a") != rare) & (pl.col("model_b") != rare))
    fitted = IdentitySignal().fit(without)
    assert rare not in fitted.authorship_.models
    columns = fitted.transform(battles)
    assert columns.to_numpy().shape == (400, len(COLUMNS))
    assert np.isfinite(columns.to_numpy()).all()


def test_responses_without_a_name_are_left_out(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    nameless = battles.tail(100).with_columns(pl.lit(None, pl.String).alias(name) for name in NAMES)
    both = pl.concat([battles.head(300), nameless])
    fitted = IdentitySignal(seed=1).fit(both)
    assert fitted.strengths_.names == signal.strengths_.names
    np.testing.assert_array_equal(fitted.strengths_.strength, signal.strengths_.strength)
    np.testing.assert_array_equal(fitted.length_habits_, signal.length_habits_)
    assert fitted.transform(battles.tail(20)).equals(signal.transform(battles.tail(20)))


def test_a_weight_of_zero_counts_for_nothing(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    weighted = battles.with_columns(weight=pl.Series(np.arange(400) < 300).cast(pl.Float64))
    fitted = IdentitySignal(seed=1).fit(weighted)
    np.testing.assert_allclose(fitted.strengths_.strength, signal.strengths_.strength, atol=1e-7)


@pytest.mark.parametrize("how", ["dropped", "null"])
def test_battles_without_any_names_are_refused(battles: pl.DataFrame, how: str) -> None:
    nameless = (
        battles.drop(*NAMES)
        if how == "dropped"
        else battles.with_columns(pl.lit(None, pl.String).alias(name) for name in NAMES)
    )
    with pytest.raises(BattleError, match="identity signal needs model_a and model_b"):
        IdentitySignal().fit(nameless)


@given(frame=battle_frames(max_size=5))
def test_any_text_is_transformed_to_finite_numbers(
    frame: pl.DataFrame, signal: IdentitySignal
) -> None:
    battles = read_battles(frame).collect()
    columns = signal.transform(battles)
    assert np.isfinite(columns.to_numpy()).all()
    assert signal.transform(swap_battles(battles)).equals(swap(columns, COLUMNS))


def test_no_battles_give_no_rows(signal: IdentitySignal, battles: pl.DataFrame) -> None:
    columns = signal.transform(battles.clear())
    assert columns.shape == (0, len(COLUMNS))
    assert columns.schema == signal.transform(battles.head(1)).schema


def test_identical_responses_are_a_tie_of_equals(
    signal: IdentitySignal, battles: pl.DataFrame
) -> None:
    same = battles.tail(10).with_columns(response_b="response_a")
    columns = signal.transform(same)
    odd = [name for name, kind in COLUMNS.items() if kind is Parity.ODD]
    assert not columns.select(odd).to_numpy().any()


def test_shapes_keep_layout_and_lose_words() -> None:
    one, other = shapes(pl.Series(["- Cats eat 3 mice.\n", "- Dogs see 77 birds.\n"]))
    assert one == other == "- 8w w 0 w.\n"


def test_authorship_reads_many_texts_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(
        [f"Certainly! {index}" if index % 2 else f"nah {index}" for index in range(90)]
    )
    models = pl.Series(["curt", "polite"] * 45)
    whole = fit_authorship(texts, models)
    monkeypatch.setattr("featlab.signals.identity.authorship._CHUNK", 20)
    chunked = fit_authorship(texts, models)
    assert chunked.models == ("curt", "polite")
    assert len(chunked.posterior(texts)) == 90
    agreed = (chunked.posterior(texts).argmax(1) == whole.posterior(texts).argmax(1)).mean()
    assert agreed == 1.0


def test_the_softmax_is_scikit_learns() -> None:
    from scipy import sparse

    generator = np.random.default_rng(0)
    dense = generator.normal(size=(200, 5)).astype(np.float32)
    classes = (dense[:, :3] + generator.normal(size=(200, 3))).argmax(axis=1)
    rows = sparse.csr_matrix(dense)
    ours = ridge_softmax(rows, classes, 3, penalty=2.0, steps=200).probabilities(rows)
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(dense, classes)
    np.testing.assert_allclose(ours, theirs.predict_proba(dense), atol=0.01)
