"""The lexical signal: exactly odd and even, blind to held-out outcomes, saved as it was."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from featlab.battles import read_battles, swap_battles
from featlab.columns import Kind, parities
from featlab.errors import ConfigError
from featlab.generated import generate_battles
from featlab.parity import Parity, swap
from featlab.signals import Context, Outcomes, load_signal, save_signal
from featlab.signals.lexical import LexicalSignal
from featlab.signals.lexical.signal import Blocks
from featlab.signals.lexical.sparse_logistic import Examples, best_penalty, ridge_logistic
from featlab.signals.sparse_text import SparseText

TEXTS = ("prompt", "response_a", "response_b")
TRAINING, HELD_OUT = np.arange(120), np.arange(120, 160)


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(160, seed=4).train).collect()


@pytest.fixture(scope="module")
def prepared(battles: pl.DataFrame) -> Blocks:
    return LexicalSignal().prepare(battles.lazy().select(TEXTS))


@pytest.fixture(scope="module")
def signal(battles: pl.DataFrame, prepared: Blocks) -> LexicalSignal:
    return LexicalSignal(seed=1).fit(prepared, Outcomes.of(battles), TRAINING)


def test_exchanging_the_sides_exchanges_the_columns_exactly(
    signal: LexicalSignal, battles: pl.DataFrame, prepared: Blocks
) -> None:
    columns = signal.transform(prepared, HELD_OUT)
    assert columns.schema == {column.name: pl.Float32 for column in signal.columns()}
    kinds = {(column.parity, column.kind) for column in signal.columns()}
    assert kinds == {(Parity.ODD, Kind.MARGIN), (Parity.EVEN, Kind.SCALAR)}
    exchanged = signal.prepare(swap_battles(battles[HELD_OUT]).lazy())
    assert signal.transform(exchanged).equals(swap(columns, parities(signal.columns())))
    assert columns.select(pl.all().std()).min_horizontal().item() > 0


@pytest.mark.parametrize("threads", [1, 3])
def test_weights_are_the_same_on_any_number_of_threads(
    signal: LexicalSignal,
    battles: pl.DataFrame,
    prepared: Blocks,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
) -> None:
    monkeypatch.setenv("FEATLAB_THREADS", str(threads))
    again = LexicalSignal(seed=1).fit(prepared, Outcomes.of(battles), TRAINING)
    for name, weights in again.weights.items():
        np.testing.assert_array_equal(weights.coefficients, signal.weights[name].coefficients)
        assert weights.intercept == signal.weights[name].intercept


def test_a_battle_is_told_alike_in_any_company(
    signal: LexicalSignal, battles: pl.DataFrame, prepared: Blocks
) -> None:
    order = np.random.default_rng(0).permutation(160)[:57]
    columns = signal.transform(prepared)
    assert signal.transform(prepared, order).equals(columns[order])
    assert signal.transform(signal.prepare(battles[order].lazy())).equals(columns[order])
    assert signal.transform(signal.prepare(battles.clear().lazy())).equals(columns.clear())


def test_chunks_leave_no_trace(
    signal: LexicalSignal, battles: pl.DataFrame, prepared: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = signal.transform(prepared)
    monkeypatch.setattr("featlab.signals.lexical.signal._CHUNK", 37)
    assert signal.transform(signal.prepare(battles.lazy())).equals(columns)


def test_no_outcome_of_a_held_out_battle_is_read(
    signal: LexicalSignal, battles: pl.DataFrame, prepared: Blocks
) -> None:
    outcomes = Outcomes.of(battles)
    labels, weight = outcomes.labels.copy(), outcomes.weight.copy()
    labels[HELD_OUT], weight[HELD_OUT] = (labels[HELD_OUT] + 1) % 3, 1e6
    poisoned = replace(outcomes, labels=labels, weight=weight)
    again = LexicalSignal(seed=1).fit(prepared, poisoned, TRAINING)
    assert again.transform(prepared).equals(signal.transform(prepared))
    other = LexicalSignal(seed=1).fit(prepared, poisoned, HELD_OUT)
    assert not other.transform(prepared).equals(signal.transform(prepared))


def test_it_loads_as_it_was_saved(signal: LexicalSignal, prepared: Blocks, tmp_path: Path) -> None:
    save_signal(signal, tmp_path)
    loaded = load_signal(LexicalSignal, tmp_path)
    assert loaded.transform(prepared).equals(signal.transform(prepared))
    assert json.dumps(loaded.recipe()) == json.dumps(signal.recipe())
    assert loaded.columns() == signal.columns()


def test_settings_choose_the_seed_of_a_fold() -> None:
    context = Context(seed=5)
    seeds = [LexicalSignal.from_settings(context, fold).seed for fold in (0, 1, 1)]
    assert seeds[0] != seeds[1] == seeds[2]


def test_one_outcome_only_is_no_trouble(battles: pl.DataFrame, prepared: Blocks) -> None:
    for label in (0, 2):
        outcomes = Outcomes.of(battles.with_columns(label=pl.lit(label)))
        columns = LexicalSignal().fit(prepared, outcomes, TRAINING).transform(prepared)
        assert np.isfinite(columns.to_numpy()).all()


def test_ngrams_of_one_unit_are_refused_twice() -> None:
    with pytest.raises(ConfigError, match="same unit"):
        LexicalSignal([SparseText("word", 1, 1), SparseText("word", 1, 2)])


@pytest.mark.parametrize("intercept", [False, True])
def test_the_regression_is_at_the_minimum_and_weights_are_repeats(intercept: bool) -> None:
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(300, 6)).astype(np.float32)
    targets = (dense[:, 0] + generator.normal(size=300) > 0.5).astype(np.float64)
    times = generator.integers(0, 3, 300)
    rows = sparse.csr_matrix(dense)
    seen = Examples(rows, targets, times.astype(np.float64))
    weighted, strong = (
        ridge_logistic([seen], penalty, intercept=intercept) for penalty in (2.0, 200.0)
    )
    again = [
        Examples(sparse.csr_matrix(part), outcome, np.ones(len(part)))
        for part, outcome in zip(
            np.array_split(np.repeat(dense, times, axis=0), 3),
            np.array_split(np.repeat(targets, times), 3),
            strict=True,
        )
    ]
    repeated = ridge_logistic(again, 2.0, intercept=intercept)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, atol=2e-3)
    surplus = times * (1 / (1 + np.exp(-weighted.logits(rows))) - targets)
    np.testing.assert_allclose(surplus @ dense + 2.0 * weighted.coefficients, 0.0, atol=0.2)
    assert np.linalg.norm(strong.coefficients) < np.linalg.norm(weighted.coefficients)
    assert (weighted.intercept != 0.0) == intercept
    with pytest.raises(ConfigError, match="above 0"):
        ridge_logistic([seen], 0.0, intercept=intercept)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("kinds", [0, 1, 2, 5])
def test_rows_that_cancel_out_leave_coefficients_near_nothing(
    kinds: int, penalty: float, intercept: bool
) -> None:
    """Each kind of row twice, seen once as a hit and once not, in parts and scaled by thirds."""
    different = np.random.default_rng(kinds).normal(size=(kinds, 30)) / 3
    dense = np.vstack([np.zeros((1, 30)), different]).astype(np.float32)
    parts = [
        Examples(sparse.csr_matrix(rows), np.full(len(rows), hit), np.full(len(rows), 1 / 3))
        for rows, hit in ((dense, 1.0), (dense[::-1], 0.0))
    ]
    found = ridge_logistic(parts, penalty, intercept=intercept)
    np.testing.assert_allclose(found.logits(parts[0].rows), 0.0, atol=1e-3)


def test_noise_is_given_the_strongest_penalty_and_a_sign_a_weaker_one() -> None:
    generator = np.random.default_rng(1)
    noise = generator.normal(size=(300, 40)).astype(np.float32)
    penalties = [100.0, 1.0, 0.01]
    for targets, best in (
        (generator.integers(0, 2, 300).astype(np.float64), 100.0),
        ((noise[:, 0] > 0).astype(np.float64), 1.0),
    ):
        folds = [
            [
                Examples(sparse.csr_matrix(noise[part]), targets[part], np.ones(len(part)))
                for part in np.array_split(rows, 2)
            ]
            for rows in np.array_split(np.arange(300), 3)
        ]
        assert best_penalty(folds, penalties, intercept=False) == best
        assert best_penalty(folds[:1], penalties, intercept=False) == penalties[0]


@pytest.mark.parametrize("unit", ["char", "word"])
def test_vectors_are_those_of_counted_ngrams(unit: Literal["char", "word"]) -> None:
    texts = ["To be, or not to be.", "", "tobe 22 be", "ÄÖ be\n你好 be", "to be"]
    counted = []
    for text in texts:
        units = f"\n{text.lower()}\n" if unit == "char" else re.findall(r"[^\W_]+", text.lower())
        grams = Counter(
            tuple(units[start : start + size])
            for size in (1, 2, 3)
            for start in range(len(units) - size + 1)
        )
        logs = {gram: 1 + np.log(count) for gram, count in grams.items()}
        norm = np.sqrt(sum(value**2 for value in logs.values())) or 1.0
        counted.append({gram: value / norm for gram, value in logs.items()})
    similar = [[sum(one[g] * other.get(g, 0) for g in one) for other in counted] for one in counted]
    rows = SparseText(unit, 1, 3, bits=30).vectors(pl.Series(texts))
    np.testing.assert_allclose((rows @ rows.T).toarray(), similar, atol=1e-6)
    assert np.diff(rows.indptr).tolist() == [len(grams) for grams in counted]


@pytest.mark.parametrize("name", ["", "*", "^a$", "a b"])
def test_a_series_of_texts_may_have_any_name(name: str) -> None:
    texts = ["to be", None, "or not"]
    words = SparseText("word", 1, 2)
    named, plain = words.vectors(pl.Series(name, texts)), words.vectors(pl.Series("text", texts))
    assert (named != plain).nnz == 0
    assert plain.nnz > 0
