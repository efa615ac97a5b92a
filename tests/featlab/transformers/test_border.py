"""Any frame, in any transformer, gives what its texts give by themselves, or one FrameError.

`FEATLAB_TEST_EXAMPLES` says how many frames are tried.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from featlab import BattleFeatures, PairFeatures, TextFeatures
from featlab.features import FEATURES
from featlab.transformers import FrameError
from featlab.transformers.embedder import TextEmbedder
from tests.featlab.hash_encoder import HashEncoder

EXAMPLES = int(os.environ.get("FEATLAB_TEST_EXAMPLES", "80"))
SURROGATE = re.compile("[\ud800-\udfff]")
COUNTED = ["words", "was_null"]

NAMES = ["t", "essay", "^t.*$", "^.*$", "*", "t__null", "a::b", "::row", "t0", "{x}", "", " ", "é"]
MISSING = [None, float("nan"), np.nan, pd.NA, pd.NaT, np.float32("nan")]


class Text(str):
    """A string subclass, as libraries hand them out."""

    __slots__ = ()


@pytest.fixture(scope="module")
def few_features() -> Iterator[None]:
    """A catalogue of what is counted here: a frame's way in and out is the same with all."""
    few = tuple(feature for feature in FEATURES if feature.name in (*COUNTED, "exclamation_marks"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featlab.transformers.base.FEATURES", few)
        yield


TEXTS_OF_ANY_KIND = [
    *("a b", "one two three", "", "no", "[1, 2]", "null", "\ud83d lone", "é 👍", "nan", "None"),
    *(" ", "a\nb", "\n", "a  b", "\ta", "0", "1.0", "true", "a\0b", "'", '"', "a,b", "<NA>", "🇩🇪"),
]
words = st.sampled_from(TEXTS_OF_ANY_KIND)


@st.composite
def cells(draw: st.DrawFn, size: int) -> tuple[list[Any], list[str | None]]:
    """Cells of one text column as pandas may hold them, and the texts they are."""
    texts: list[str | None] = [draw(st.one_of(st.none(), words, words)) for _ in range(size)]
    dress: Callable[[str], Any] = draw(st.sampled_from([str, Text, np.str_]))
    missing = draw(st.sampled_from(MISSING))
    return [missing if text is None else dress(text) for text in texts], texts


@st.composite
def frames(draw: st.DrawFn) -> tuple[Any, list[Any], dict[Any, list[str | None]]]:
    """A frame of texts and numbers, the names of its text columns, and their texts."""
    size = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["pandas", "pandas", "polars", "lazy"]))
    named = st.sampled_from(NAMES)
    names = draw(st.lists(named, min_size=1, max_size=3, unique=True))
    if kind == "pandas":
        names = [draw(st.sampled_from([name, name, 7 + row])) for row, name in enumerate(names)]
    told = {}
    columns: dict[Any, Any] = {}
    for name in names:
        given, told[name] = draw(cells(size))
        if kind == "pandas":
            dtype = draw(st.sampled_from(["object", "object", "str", "string", "category"]))
            alone = any("\ud83d" in text for text in told[name] if text is not None)
            columns[name] = pd.Series(given, dtype="object" if alone else dtype)
            if all(text is None for text in told[name]) and draw(st.booleans()):
                columns[name] = pd.Series([np.nan] * size)
        else:
            told[name] = [text and SURROGATE.sub("?", text) for text in told[name]]
            dtype = draw(st.sampled_from([pl.String, pl.Categorical]))
            columns[name] = pl.Series(told[name], dtype=pl.String).cast(dtype)
    numbers = {"n": list(range(size)), "x": [0.5] * size}
    if kind != "pandas":
        frame = pl.DataFrame({**columns, **numbers})
        return (frame.lazy() if kind == "lazy" else frame), names, told
    index = draw(
        st.sampled_from(
            [
                range(size),
                [9] * size,
                [f"r{row}" for row in range(size)],
                pd.date_range("2026-01-01", periods=size),
                pd.MultiIndex.from_tuples([(row, "x") for row in range(size)]),
            ]
        )
    )
    frame = pd.DataFrame({**columns, **numbers})
    frame.index = pd.Index(index) if not isinstance(index, pd.Index) else index
    return frame, names, told


def values(computed: Any) -> np.ndarray[Any, Any]:
    computed = computed.collect() if isinstance(computed, pl.LazyFrame) else computed
    return np.asarray(computed.to_numpy(), np.float64)


@lru_cache(maxsize=1000)
def of_text(text: str | None) -> tuple[float, ...]:
    """The counted features of a text in a frame of its own."""
    clean = None if text is None else SURROGATE.sub("\ufffd", text)
    alone = pl.DataFrame({"t": pl.Series([clean], dtype=pl.String)})
    return tuple(values(TextFeatures("t", features=COUNTED).fit_transform(alone))[0])


def of_texts(texts: list[str | None]) -> np.ndarray[Any, Any]:
    """The counted features of one column."""
    return np.array([of_text(text) for text in texts])


@settings(max_examples=EXAMPLES)
@given(drawn=frames())
@pytest.mark.usefixtures("few_features")
def test_text_features_of_any_frame(drawn: Any) -> None:
    frame, names, told = drawn
    features = TextFeatures(names, features=COUNTED)
    computed = features.fit_transform(frame)
    expected = np.hstack([of_texts(told[name]) for name in names])
    assert np.array_equal(values(computed), expected)
    outside = [f"{name}__{feature}" for name in names for feature in COUNTED]
    assert list(features.get_feature_names_out()) == outside
    assert isinstance(computed, type(frame))
    if isinstance(frame, pd.DataFrame):
        assert computed.index.equals(frame.index)
        assert list(computed.columns) == outside


@settings(max_examples=EXAMPLES)
@given(drawn=frames())
@pytest.mark.usefixtures("few_features")
def test_every_transformer_stands_at_the_same_border(
    drawn: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frame, names, told = drawn
    first, last = names[0], names[-1]
    if len(names) > 1:
        pair = PairFeatures(first, last, features=["words"]).fit_transform(frame)
        both = np.stack([of_texts(told[name])[:, 0] for name in (first, last)], axis=1)
        assert np.array_equal(values(pair)[:, :2], both)
    battles = BattleFeatures(first, first, last, features=["words"], texts="plain")
    assert np.array_equal(values(battles.fit_transform(frame))[:, 1], of_texts(told[first])[:, 0])
    embedder = TextEmbedder([first], mode="off", load_encoder=lambda *_: HashEncoder())
    clean = [SURROGATE.sub("\ufffd", text or "") for text in told[first]]
    vectors = embedder.fit_transform(frame)
    assert isinstance(vectors, type(frame))
    twin = TextEmbedder(["t"], mode="off", load_encoder=lambda *_: HashEncoder())
    assert np.array_equal(values(vectors), values(twin.fit_transform(pl.DataFrame({"t": clean}))))


WRONG = [
    ([1, 2], "int"),
    ([1.5, 2.5], "float"),
    ([True, False], "bool"),
    ([b"a", b"b"], "bytes|binary|Binary"),
    (["a", 1], "int and str"),
    (["a", ["b"]], "list and str"),
    ([{"a": 1}, None], "Struct|dict"),
    ([[1], [2]], "List"),
]


@pytest.mark.parametrize(("given_cells", "said"), WRONG)
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_no_text_is_refused_by_every_transformer(
    given_cells: list[Any], said: str, alone: bool
) -> None:
    column = pd.Series(given_cells, name="t", dtype=object)
    given = column if alone else column.to_frame()
    for transformer in (TextFeatures("t"), TextEmbedder("t")):
        with pytest.raises(FrameError, match="not text") as caught:
            transformer.fit(given)
        assert isinstance(caught.value, ValueError | TypeError)


def test_arrays_in_cells_are_turns() -> None:
    frame = pd.DataFrame({"t": [np.array(["a b", "c"]), ["d"], ("e", "f"), None]})
    computed = TextFeatures("t", features=COUNTED).fit_transform(frame)
    assert computed.to_numpy().tolist() == [[3, 0], [1, 0], [2, 0], [0, 1]]


def test_columns_that_stand_twice_and_one_name_of_two_letters() -> None:
    frame = pd.DataFrame([["x", "y", "z"]], columns=["a", "b", "a"])
    for transformer in (TextFeatures("a"), TextEmbedder("a"), PairFeatures("a", "b")):
        with pytest.raises(FrameError, match="two columns of the frame are called 'a'"):
            transformer.fit(frame)
    for transformer in (TextFeatures("ab"), TextEmbedder("ab")):
        with pytest.raises(FrameError, match="no column 'ab'; it has a, b"):
            transformer.fit(frame)
    assert list(TextFeatures("b").fit(frame).feature_names_in_) == ["b"]


TEXTS = ["good good!", "bad", "good!", "so bad", "good good good!", "bad bad"] * 4
LABELS = [1, 0, 1, 0, 1, 0] * 4


@pytest.mark.parametrize(
    "given_texts",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS),
        pd.Series(TEXTS, name="essay", index=range(5, 29)),
        pl.Series(TEXTS),
        pl.Series("essay", TEXTS),
    ],
    ids=lambda given: type(given).__name__,
)
def test_texts_alone_as_scikit_learns_own_tools_take_them(given_texts: Any) -> None:
    model = make_pipeline(
        TextFeatures(features=["words", "exclamation_marks"]), LogisticRegression()
    )
    assert model.fit(given_texts, LABELS).score(given_texts, LABELS) == 1
    # Fitted on one kind, it takes the others, as a CountVectorizer does.
    assert model.predict(["good!", "bad"]).tolist() == [1, 0]
    assert make_pipeline(CountVectorizer(), LogisticRegression()).fit(given_texts, LABELS)
    if not isinstance(given_texts, tuple | pl.Series):
        assert cross_val_score(model, given_texts, LABELS, cv=3).mean() > 0.9


@pytest.mark.parametrize("to", [pl.DataFrame, pd.DataFrame])
@pytest.mark.parametrize("name", ["essay", "^e.*$"])
def test_a_column_transformer_may_name_one_column_of_text(to: Any, name: str) -> None:
    frame = to({name: TEXTS, "age": list(range(24))})
    columns = ColumnTransformer(
        [("t", TextFeatures(features="words"), name), ("age", "passthrough", ["age"])]
    )
    computed = columns.fit_transform(frame)
    assert computed[:3].tolist() == [[2, 0], [1, 1], [1, 2]]
    assert list(columns.get_feature_names_out()) == [f"t__{name}__words", "age__age"]


def test_a_column_that_is_all_missing_when_it_is_transformed() -> None:
    features = TextFeatures(features=COUNTED).fit(pd.DataFrame({"t": ["a"]}))
    later = pd.DataFrame({"t": [float("nan"), float("nan")]})
    assert later["t"].dtype == np.float64
    assert features.transform(later).to_numpy().tolist() == [[0, 1], [0, 1]]
