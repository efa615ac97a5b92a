"""What each transformer computes, what it refuses, and how it works inside scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from polars.testing import assert_frame_equal
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from featlab import (
    FEATURES,
    BattleColumns,
    BattleFeatures,
    Feature,
    PairFeatures,
    TextFeatures,
    read_battles,
    swap,
    swap_battles,
)
from featlab.errors import BattleError, FeatlabError, FeatureError
from featlab.features import Scope
from featlab.features.columns import ONE_TEXT
from featlab.parity import Parity
from featlab.transformers import FrameError

SHOUTING = Feature("shouting", lambda text: text.count("!"), pl.UInt32, "mine", "loud marks")


def test_text_features_are_those_of_each_text_alone(texts: pl.DataFrame) -> None:
    computed = TextFeatures().fit_transform(texts)
    of_one = [feature.name for feature in FEATURES if ONE_TEXT & set(feature.scopes)]
    columns = ["prompt", "response_a", "response_b"]
    assert computed.columns == [f"{column}__{name}" for column in columns for name in of_one]
    for column in columns:
        alone = TextFeatures(column).fit_transform(texts)
        assert_frame_equal(alone, computed.select(f"^{column}__.*$"))


def test_the_same_text_gives_the_same_values_in_every_transformer(texts: pl.DataFrame) -> None:
    battles = BattleFeatures(texts="plain").fit_transform(texts)
    alone = TextFeatures().fit_transform(texts)
    pair = PairFeatures("response_a", "response_b").fit_transform(texts)
    for other in (alone, pair):
        shared = [name for name in battles.columns if name in other.columns]
        assert len(shared) > 100
        assert_frame_equal(battles.select(shared), other.select(shared))
    assert pair["pair__jaccard"].to_list() == battles["responses__jaccard"].to_list()
    paired = [name for name in battles.columns if name.endswith(("_difference", "__sum"))]
    to_prompt = [f.name for f in FEATURES if Scope.RESPONSE_TO_PROMPT in f.scopes]
    assert {name for name in paired if name in pair.columns} == {
        name for name in paired if name.split("__")[0] not in to_prompt
    }


def test_null_cells_are_empty_texts_with_a_flag() -> None:
    frame = pl.DataFrame({"t": ["", None]})
    computed = TextFeatures().fit_transform(frame)
    assert computed["t__was_null"].to_list() == [0, 1]
    assert_frame_equal(
        computed[:1].drop("t__was_null"), computed[1:].drop("t__was_null"), check_exact=True
    )


def test_a_column_of_nothing_but_nulls() -> None:
    frame = pl.DataFrame({"t": [None, None]})
    assert TextFeatures("t").fit_transform(frame)["t__was_null"].to_list() == [1, 1]
    in_pandas = pd.DataFrame({"t": [None, None]})
    assert TextFeatures("t").fit_transform(in_pandas)["t__was_null"].tolist() == [1, 1]
    with pytest.raises(FrameError, match="no column of the frame holds text; it has t"):
        TextFeatures().fit(frame)


def test_battles_as_json_as_lists_and_as_read(raw_battles: pl.DataFrame) -> None:
    expected = BattleColumns().compute(read_battles(raw_battles)).collect().drop("id")
    features = BattleFeatures()
    assert_frame_equal(features.fit_transform(raw_battles), expected)
    assert_frame_equal(features.fit_transform(read_battles(raw_battles).collect()), expected)
    assert_frame_equal(features.fit_transform(read_battles(raw_battles)).collect(), expected)
    names = ["prompt", "response_a", "response_b"]
    decoded = [
        pl.Series(name, [None if cell is None else json.loads(cell) for cell in raw_battles[name]])
        for name in names
    ]
    assert_frame_equal(features.fit_transform(pl.DataFrame(decoded)), expected)
    in_pandas = pd.DataFrame({name: raw_battles[name].to_list() for name in names})
    assert np.array_equal(features.fit_transform(in_pandas), expected.to_numpy())
    lists = pd.DataFrame({series.name: series.to_list() for series in decoded})
    assert np.array_equal(features.fit_transform(lists), expected.to_numpy())


def test_battles_swap_by_their_parity(raw_battles: pl.DataFrame) -> None:
    battles = read_battles(raw_battles)
    features = BattleFeatures().fit(battles)
    assert set(features.parity()) == set(features.get_feature_names_out())
    swapped = features.transform(swap_battles(battles)).collect()
    assert swapped.equals(swap(features.transform(battles).collect(), features.parity()))


def test_battle_columns_are_called_by_role(texts: pl.DataFrame) -> None:
    renamed = texts.rename({"prompt": "q", "response_a": "left", "response_b": "right"})
    computed = BattleFeatures("q", "left", "right", texts="plain").fit_transform(renamed)
    assert_frame_equal(computed, BattleFeatures(texts="plain").fit_transform(texts))


def test_selection_by_family_and_by_name(texts: pl.DataFrame) -> None:
    def names(**selection: Any) -> list[str]:
        return list(TextFeatures("prompt", **selection).fit(texts).get_feature_names_out())

    assert names(features="words") == ["prompt__words"]
    assert names(features=["sentences", "words"]) == ["prompt__words", "prompt__sentences"]
    newlines = names(families="newlines")
    assert newlines == names(families=["newlines"])
    assert names(families="newlines", features="words") == ["prompt__words", *newlines]
    assert len(names()) == len([f for f in FEATURES if ONE_TEXT & set(f.scopes)])


def test_own_features_in_every_transformer(texts: pl.DataFrame) -> None:
    own: dict[str, Any] = {"families": "mine", "extra_features": [SHOUTING]}
    assert TextFeatures(**own).fit_transform(texts).columns == [
        "prompt__shouting",
        "response_a__shouting",
        "response_b__shouting",
    ]
    pair = PairFeatures("prompt", "response_b", **own).fit_transform(texts)
    assert pair.rows()[4] == (0, 2)
    battles = BattleFeatures(texts="plain", **own).fit_transform(texts)
    assert battles.columns == ["response_a__shouting", "response_b__shouting"]


def test_own_features_may_build_on_built_in_ones(texts: pl.DataFrame) -> None:
    doubled = Feature(
        "doubled", lambda text: text.feature("words") * 2, pl.UInt32, "mine", "words twice"
    )
    features = TextFeatures("prompt", features="doubled", extra_features=(doubled,))
    assert features.fit_transform(texts)["prompt__doubled"].to_list() == [6, 6, 0, 6, 2, 0]


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (TextFeatures(families="newline"), "no feature family 'newline'; there are characters, "),
        (TextFeatures(families="overlap"), "no feature family 'overlap'"),
        (TextFeatures(features="wrods"), "no feature 'wrods'; the nearest are words"),
        (TextFeatures(families=[]), "no column is left"),
        (TextFeatures(texts="json"), "texts is 'json'"),  # type: ignore[arg-type]
        (TextFeatures(extra_features=[SHOUTING, SHOUTING]), "'shouting' is declared twice"),
        (PairFeatures("prompt", "prompt"), "'prompt' cannot be paired with itself"),
        (
            BattleFeatures(
                families="overlap",
                extra_features=[
                    Feature("jaccard", len, pl.UInt8, "mine", "m", (Scope.RESPONSES,))  # type: ignore[arg-type]
                ],
            ),
            "'jaccard' is declared twice",
        ),
    ],
    ids=str,
)
def test_wrong_parameters_are_told_in_fit(
    transformer: Any, message: str, texts: pl.DataFrame
) -> None:
    with pytest.raises(FeatureError, match=message):
        transformer.fit(texts)


def test_wrong_output() -> None:
    with pytest.raises(FeatureError, match="output 'numpy' is not one of default, pandas, polars"):
        TextFeatures().set_output(transform="numpy")


@pytest.mark.parametrize(
    "wrong", ["a text", np.array([["a"]]), {"t": ["a"]}, None, 7, np.array("a"), {"a text"}]
)
def test_what_is_no_frame(wrong: object, texts: pl.DataFrame) -> None:
    for call in (TextFeatures().fit, TextFeatures().fit(texts).transform):
        with pytest.raises(
            FrameError, match="expected a polars or pandas frame, or texts"
        ) as caught:
            call(wrong)
        # What scikit-learn's own transformers raise for input that they cannot take.
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("to", [pl.DataFrame, pl.LazyFrame, pd.DataFrame])
def test_missing_columns(to: Any) -> None:
    with pytest.raises(FrameError, match="the frame has no column 'b'; it has a, c"):
        TextFeatures(["a", "b"]).fit(to({"a": ["x"], "c": ["y"]}))
    fitted = PairFeatures("a", "b").fit(to({"a": ["x"], "b": ["y"]}))
    with pytest.raises(FrameError, match="the frame has no column 'a'; it has b"):
        fitted.transform(to({"b": ["y"]}))


@pytest.mark.parametrize("values", [[1], [1.5], [True], [{"a": 1}], [[1]], [b"a"]])
@pytest.mark.parametrize("to", [pl.DataFrame, pd.DataFrame])
def test_columns_that_hold_no_text(values: list[object], to: Any) -> None:
    with pytest.raises(FrameError, match=r"column 't' holds .*, not text"):
        TextFeatures("t").fit(to({"t": values, "u": ["a"]}))
    assert list(TextFeatures().fit(to({"t": values, "u": ["a"]})).feature_names_in_) == ["u"]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a!", "b"])])
def test_categories_are_text(kind: Any) -> None:
    frame = pl.DataFrame({"t": ["a!", None, "b"]}, schema={"t": kind})
    features = TextFeatures(features=["exclamation_marks", "was_null"])
    assert features.fit_transform(frame).rows() == [(0, 1), (1, 0), (0, 0)]


@pytest.mark.parametrize("dtype", ["object", "string", "category", "str"])
def test_every_kind_of_text_in_pandas(dtype: str) -> None:
    frame = pd.DataFrame({"t": pd.Series(["a b", None, ""], dtype=dtype)})
    computed = TextFeatures(features=["words", "was_null"]).fit_transform(frame)
    assert computed.to_numpy().tolist() == [[2, 0], [0, 1], [0, 0]]


def test_pandas_frames_as_they_come() -> None:
    frame = pd.DataFrame(
        [["\ud83d\udc4d \ud83d", 1, "x"]], columns=["t", 7, "u"], index=[9], dtype=object
    )
    computed = TextFeatures("t", features="replacement_characters").fit_transform(frame)
    assert computed.loc[9, "t__replacement_characters"] >= 1
    twice = pd.DataFrame([["a", "b"]], columns=["t", "t"])
    with pytest.raises(FrameError, match="two columns of the frame are called 't'"):
        TextFeatures().fit(twice)


def test_broken_json_names_column_and_rows() -> None:
    frame = pl.DataFrame({"t": ['["fine"]', "oops", None, "[[1]]"]})
    features = TextFeatures(texts="json_list").fit(frame)
    for given in (frame, pd.DataFrame({"t": frame["t"].to_list()})):
        with pytest.raises(BattleError, match="column 't' is not a JSON list") as caught:
            features.transform(given)
        assert caught.value.rows == (1, 3)
        assert "DataFrame" in caught.value.source
    assert isinstance(caught.value, FeatlabError)
    assert isinstance(features.transform(frame.lazy()), pl.LazyFrame)


def test_awkward_column_names() -> None:
    names = ["a b", "é", "x::joined", "a__words", "{x}", "."]
    frame = pl.DataFrame({name: [f"one two{'!' * row}"] for row, name in enumerate(names)})
    computed = TextFeatures(features=["words", "exclamation_marks"]).fit_transform(frame)
    assert computed.row(0) == tuple(value for row in range(6) for value in (2, row))


def test_a_text_whose_name_a_feature_takes() -> None:
    frame = pl.DataFrame({"a": ["x"], "a__words": ["y z"]})
    with pytest.raises(FeatureError, match="two columns would be called 'a__words'"):
        TextFeatures(features="words").fit_transform(frame)


def test_parity_of_pairs_tells_what_is_symmetric(texts: pl.DataFrame) -> None:
    features = PairFeatures("response_a", "response_b").fit(texts)
    columns = features._fitted_columns().parity
    mirrored = PairFeatures("response_b", "response_a").fit_transform(texts)
    computed = features.transform(texts)
    for name, parity in columns.items():
        if parity is Parity.EVEN:
            assert computed[name].equals(mirrored[name])
        elif parity is Parity.ODD:
            assert computed[name].equals(-mirrored[name])


@pytest.fixture
def graded() -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """Long texts with exclamation marks are good, whatever else they say."""
    generator = np.random.default_rng(5)
    good = generator.integers(0, 2, 120)
    words = generator.choice(["apple", "pear", "plum"], (120, 12))
    texts = [
        " ".join(row[: 8 + 4 * label]) + "!" * label
        for row, label in zip(words.tolist(), good.tolist(), strict=True)
    ]
    frame = pl.DataFrame({"text": texts, "other": texts[::-1], "age": range(120)})
    return frame, good


@pytest.mark.parametrize("kind", ["polars", "pandas"])
@pytest.mark.parametrize(
    "classifier",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        LGBMClassifier(n_estimators=5, min_child_samples=5, verbose=-1, n_jobs=1),
    ],
    ids=["logistic", "lightgbm"],
)
def test_inside_pipelines(
    kind: str, classifier: Any, graded: tuple[pl.DataFrame, np.ndarray[Any, Any]]
) -> None:
    frame, good = graded
    given = frame if kind == "polars" else pd.DataFrame(frame.to_dict(as_series=False))
    for features in (
        TextFeatures("text", families=["verbosity", "punctuation"]),
        PairFeatures("text", "other", families=["verbosity", "punctuation"]),
        BattleFeatures("other", "text", "other", families=["verbosity"], texts="plain"),
    ):
        model = make_pipeline(features, classifier)
        assert cross_val_score(model, given, good, cv=3).mean() > 0.95


def test_inside_column_transformers_and_unions(texts: pl.DataFrame) -> None:
    columns = ColumnTransformer(
        [("text", TextFeatures(features="words"), ["prompt"]), ("rest", "passthrough", ["grade"])],
        verbose_feature_names_out=False,
    )
    expected = [[3, 1], [3, 2], [0, 3], [3, 4], [1, 5], [0, 6]]
    assert columns.fit_transform(texts).tolist() == expected
    assert list(columns.get_feature_names_out()) == ["prompt__words", "grade"]
    assert columns.set_output(transform="polars").fit_transform(texts).rows() == [
        tuple(row) for row in expected
    ]
    union = make_union(TextFeatures(features="words"), PairFeatures("prompt", "response_a"))
    assert union.fit_transform(texts).shape[0] == texts.height


def test_families_are_a_parameter_like_any_other(
    graded: tuple[pl.DataFrame, np.ndarray[Any, Any]],
) -> None:
    frame, good = graded
    model = make_pipeline(TextFeatures("text"), LogisticRegression(max_iter=1000))
    grid = {"textfeatures__families": ["characters", "punctuation"]}
    search = GridSearchCV(model, grid, cv=2).fit(frame, good)
    assert search.best_score_ > 0.95
    assert search.best_params_ == {"textfeatures__families": "punctuation"}


def test_neither_pandas_nor_torch_is_needed() -> None:
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pandas", "pyarrow", "torch", "transformers"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import polars as pl
from featlab import BattleFeatures, PairFeatures, TextFeatures
assert TextFeatures().fit_transform(pl.DataFrame({"t": ["a b"]}))["t__words"].item() == 2
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pandas_that_is_not_installed(texts: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    features = TextFeatures("prompt").set_output(transform="pandas").fit(texts)
    with pytest.raises(FrameError, match="needs the package pandas"):
        features.transform(texts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"families": iter(["verbosity"])},
        {"families": 3},
        {"features": (name for name in ["words"])},
        {"extra_features": FEATURES[0]},
    ],
)
def test_parameters_that_can_be_read_once_only_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FeatureError, match="list"):
        TextFeatures("text", **wrong).fit(pl.DataFrame({"text": ["a"]}))
