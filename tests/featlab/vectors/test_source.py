from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.errors import ConfigError, StoreError
from featlab.progress import Progress
from featlab.vectors.passages import Conversations, Texts
from featlab.vectors.source import VectorSource, default_store
from tests.featlab.hash_encoder import DIMENSION, SPEC, HashEncoder, hashed

texts = st.lists(st.text(max_size=6), max_size=15)


def source(
    root: Path, encoder: HashEncoder, *, batch_size: int = 4, **settings: object
) -> VectorSource:
    return VectorSource(SPEC, root, batch_size=batch_size, load_encoder=encoder, **settings)  # type: ignore[arg-type]


def column(values: list[str]) -> Texts:
    return Texts(pl.Series(values, dtype=pl.String))


@settings(max_examples=25)
@given(first=texts, second=texts, mode=st.sampled_from(["auto", "off"]))
def test_every_text_gets_its_own_vector_and_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str], mode: str
) -> None:
    encoder = HashEncoder()
    vectors = source(tmp_path_factory.mktemp("s"), encoder, mode=mode)
    for given_texts, found in zip(
        (first, second), vectors.embed(column(first), column(second)), strict=True
    ):
        expected = np.array([hashed(text) for text in given_texts]).reshape(-1, DIMENSION)
        np.testing.assert_array_equal(found.read(), expected)
    assert sorted(encoder.read) == sorted({*first, *second})


@settings(max_examples=25)
@given(first=texts, second=texts)
def test_exchanging_columns_changes_no_batch(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    read = []
    prompts = ["p"] * max(len(first), len(second))
    for order in ((first, second), (second, first)):
        encoder = HashEncoder()
        vectors = source(tmp_path_factory.mktemp("s"), encoder, mode="off")
        vectors.embed(
            *(column(values) for values in order),
            *(
                Conversations(
                    pl.Series(prompts[: len(values)], dtype=pl.String), column(values).column
                )
                for values in order
            ),
        )
        read.append((encoder.read, encoder.batches))
    assert read[0] == read[1]


def test_the_longest_come_first() -> None:
    encoder = HashEncoder()
    VectorSource(SPEC, mode="off", load_encoder=encoder).embed(column(["a", "ccc", "bb", "dddd"]))
    assert encoder.read == ["dddd", "ccc", "bb", "a"]


def test_the_encoder_is_loaded_only_to_encode(tmp_path: Path) -> None:
    first = HashEncoder()
    source(tmp_path, first).embed(column(["a", "b"]))
    assert first.loaded == 1
    second = HashEncoder()
    again = source(tmp_path, second)
    assert again.dimension == DIMENSION
    again.embed(column(["b", "a", "b"]))
    assert second.loaded == 0
    again.embed(column(["b", "c"]))
    assert (second.loaded, second.read) == (1, ["c"])


def test_required_vectors_are_never_encoded(tmp_path: Path) -> None:
    encoder = HashEncoder()
    with pytest.raises(StoreError, match="are required"):
        source(tmp_path, encoder, mode="require").embed(column(["a"]))
    source(tmp_path, encoder).embed(column(["a"]))
    required = source(tmp_path, HashEncoder(), mode="require")
    required.embed(column(["a", "a"]))
    with pytest.raises(StoreError, match="1 of 2 vectors are absent"):
        required.embed(column(["a", "b"]))
    assert required.load_encoder.loaded == 0  # type: ignore[attr-defined]


def test_an_empty_store_knows_no_dimension(tmp_path: Path) -> None:
    source(tmp_path, HashEncoder()).embed(column([]))
    with pytest.raises(StoreError, match="holds no vector"):
        _ = source(tmp_path, HashEncoder(), mode="require").dimension


def test_off_encodes_every_time_rounds_alike_and_touches_no_file(tmp_path: Path) -> None:
    encoder = HashEncoder()
    encoder.encode_texts = lambda texts: np.full((len(texts), 2), 1 / 3, np.float32)  # type: ignore[method-assign]
    vectors = source(tmp_path, encoder, mode="off")
    for _ in range(2):
        read = vectors.embed(column(["a", "b", "a"]))[0].read()
        np.testing.assert_array_equal(read, np.full((3, 2), 1 / 3, np.float16))
    assert list(tmp_path.iterdir()) == []
    encoder.encode_texts = lambda texts: np.full((len(texts), 2), 1e6, np.float32)  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="not finite in float16"):
        vectors.embed(column(["a"]))


def test_a_store_removed_meanwhile_is_made_anew(tmp_path: Path) -> None:
    vectors = source(tmp_path, HashEncoder())
    vectors.embed(column(["a"]))
    shutil.rmtree(tmp_path / SPEC.id)
    np.testing.assert_array_equal(vectors.embed(column(["a"]))[0].read(), [hashed("a")])


def test_what_another_process_encoded_meanwhile_is_not_encoded_again(tmp_path: Path) -> None:
    mine, other = HashEncoder(), HashEncoder()
    rest: list[str] = []

    def meanwhile(progress: Progress) -> None:
        if progress.done == 2:
            source(tmp_path, other).embed(column(["a", "b", "c", "d"]))
            rest.extend(mine.read)

    source(tmp_path, mine, batch_size=2, on_progress=meanwhile).embed(column(list("abcd")))
    assert len(rest) == 2
    assert mine.read == rest
    assert sorted(mine.read + other.read) == list("abcd")


def test_progress_tells_share_and_time_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    values = ["x" * length for length in range(1, 10)]
    source(tmp_path, HashEncoder(), on_progress=told.append).embed(column(values))
    assert [progress.done for progress in told] == [4, 8, 9]
    assert [progress.share for progress in told] == pytest.approx([30 / 45, 44 / 45, 1])
    assert told[-1].seconds_left == 0
    assert told[0].seconds_left == pytest.approx(told[0].seconds / 2, rel=0.01)
    told.clear()
    source(tmp_path, HashEncoder(), on_progress=told.append).embed(column(values))
    assert told == []


def test_the_default_store_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEATLAB_STORE", str(tmp_path / "named"))
    assert default_store() == tmp_path / "named"
    monkeypatch.delenv("FEATLAB_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store() == tmp_path / "featlab" / "embeddings"


def test_bad_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        VectorSource(SPEC, tmp_path, batch_size=0)
    with pytest.raises(ConfigError, match="mode is 'always'"):
        VectorSource(SPEC, tmp_path, "always")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no column"):
        source(tmp_path, HashEncoder()).embed()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        source(tmp_path / "file", HashEncoder()).embed(column(["a"]))
