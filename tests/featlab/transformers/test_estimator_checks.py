"""scikit-learn's conventions that apply to text input: one list of checks, every transformer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pytest
import sklearn
from polars.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from featlab import BattleFeatures, Feature, PairFeatures, TextFeatures, read_battles
from featlab.features import Text
from featlab.generated import generate_battles
from featlab.transformers.base import FeatureTransformer
from featlab.transformers.embedder import TextEmbedder
from tests.featlab.hash_encoder import SPEC, HashEncoder

SHOUTING = Feature("shouting", partial(Text.count, pattern="!"), pl.UInt32, "mine", "loud marks")

Transformer: TypeAlias = FeatureTransformer | TextEmbedder

TRANSFORMERS: dict[str, Transformer] = {
    "texts": TextFeatures(),
    "one text": TextFeatures("prompt", families="newlines"),
    "own feature": TextFeatures(["prompt"], features="words", extra_features=[SHOUTING]),
    "pair": PairFeatures("response_b", "prompt"),
    "some of a pair": PairFeatures("prompt", "response_b", families=["overlap", "lexicon"]),
    "battles": BattleFeatures(texts="plain"),
    "some of battles": BattleFeatures(
        "response_a", "prompt", "response_b", features=["words"], texts="plain"
    ),
    "embedder": TextEmbedder(spec=SPEC, mode="off", load_encoder=HashEncoder()),
    "embedder of pairs": TextEmbedder(
        ["response_b", ("prompt", "response_a")], spec=SPEC, mode="off", load_encoder=HashEncoder()
    ),
}

# Parameters that change what is computed, for each class.
OF_FEATURES: list[dict[str, Any]] = [
    {"families": "punctuation", "features": None},
    {"texts": "json_list"},
]
OTHERWISE: dict[type, list[dict[str, Any]]] = {
    TextFeatures: OF_FEATURES,
    PairFeatures: OF_FEATURES,
    BattleFeatures: OF_FEATURES,
    TextEmbedder: [{"layout": "array"}, {"columns": ["prompt"]}, {"spec": "another-encoder"}],
}

Check = Callable[[Transformer, pl.DataFrame], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_conventions(name: str, texts: pl.DataFrame, subtests: pytest.Subtests) -> None:
    for function in CHECKS:
        with subtests.test(function.__name__):
            function(clone(TRANSFORMERS[name]), texts)


@check
def init_sets_parameters_and_nothing_else(transformer: Transformer, _: Any) -> None:
    assert vars(transformer) == transformer.get_params()
    estimator_checks.check_no_attributes_set_in_init("Features", transformer)
    estimator_checks.check_mixin_order("Features", transformer)


@check
def parameters_can_be_read_set_and_cloned(transformer: Transformer, _: Any) -> None:
    estimator_checks.check_get_params_invariance("Features", transformer)
    estimator_checks.check_set_params("Features", transformer)
    estimator_checks.check_estimator_cloneable("Features", transformer)
    assert clone(transformer).get_params() == transformer.get_params()


@check
def tags_are_complete_and_say_text(transformer: Transformer, _: Any) -> None:
    estimator_checks.check_valid_tag_types("Features", transformer)
    estimator_checks.check_estimator_tags_renamed("Features", transformer)
    tags = sklearn.utils.get_tags(transformer)
    assert tags.input_tags.string
    assert tags.transformer_tags is not None
    assert tags.requires_fit


@check
def repr_can_be_evaluated(transformer: Transformer, _: Any) -> None:
    estimator_checks.check_estimator_repr("Features", transformer)
    if "<" not in repr(transformer):
        again = eval(repr(transformer))
        assert again.get_params() == transformer.get_params()
    assert repr(transformer).startswith(type(transformer).__name__)
    assert transformer._repr_html_()


@check
def nothing_works_unfitted(transformer: Transformer, texts: pl.DataFrame) -> None:
    for call in (
        lambda: transformer.transform(texts),
        transformer.get_feature_names_out,
        transformer.fingerprint,
    ):
        with pytest.raises(NotFittedError):
            call()


@check
def fit_returns_itself_and_keeps_its_parameters(
    transformer: Transformer, texts: pl.DataFrame
) -> None:
    before = transformer.get_params()
    assert transformer.fit(texts) is transformer
    assert transformer.fit(texts, texts["grade"]) is transformer
    assert transformer.get_params() == before
    fitted = set(vars(transformer)) - set(before)
    assert {"feature_names_in_", "n_features_in_"} <= fitted
    assert all(name.endswith("_") for name in fitted)


@check
def transform_changes_neither_itself_nor_its_input(
    transformer: Transformer, texts: pl.DataFrame
) -> None:
    given = texts.clone()
    transformer.fit(texts)
    state = dict(vars(transformer))
    first = transformer.transform(texts)
    assert_frame_equal(transformer.transform(texts), first)
    assert vars(transformer) == state
    assert_frame_equal(texts, given)


@check
def names_in_and_out_agree_with_the_frames(transformer: Transformer, texts: pl.DataFrame) -> None:
    computed = transformer.fit_transform(texts)
    names = transformer.get_feature_names_out()
    assert names.dtype == object
    assert list(names) == computed.columns
    assert len(set(names)) == len(names)
    assert set(transformer.feature_names_in_) <= set(texts.columns)
    assert transformer.n_features_in_ == len(transformer.feature_names_in_)
    assert list(transformer.get_feature_names_out(["ignored"])) == computed.columns


@check
def values_are_finite_numbers_row_by_row(transformer: Transformer, texts: pl.DataFrame) -> None:
    computed = transformer.fit_transform(texts)
    assert computed.height == texts.height
    assert all(dtype.is_numeric() for dtype in computed.dtypes)
    assert np.isfinite(computed.to_numpy()).all()


@check
def fit_transform_is_fit_and_transform(transformer: Transformer, texts: pl.DataFrame) -> None:
    assert_frame_equal(
        transformer.fit_transform(texts, texts["grade"]),
        clone(transformer).fit(texts).transform(texts),
    )


@check
def rows_do_not_depend_on_each_other(transformer: Transformer, texts: pl.DataFrame) -> None:
    computed = transformer.fit_transform(texts)
    order = [3, 0, 5, 1, 4, 2]
    assert_frame_equal(transformer.transform(texts[order]), computed[order])
    for row in range(texts.height):
        assert_frame_equal(transformer.transform(texts[[row]]), computed[[row]])
    assert transformer.transform(texts.clear()).shape == (0, computed.width)


@check
def columns_are_found_by_name(transformer: Transformer, texts: pl.DataFrame) -> None:
    computed = transformer.fit_transform(texts)
    mixed = texts.select(reversed(texts.columns)).with_columns(more=pl.lit("text"))
    assert_frame_equal(transformer.transform(mixed), computed)


@check
def refitting_forgets(transformer: Transformer, texts: pl.DataFrame) -> None:
    other = texts.with_columns(more=pl.lit("text"))
    refitted = clone(transformer).fit(other).fit(texts)
    assert_frame_equal(refitted.transform(texts), transformer.fit_transform(texts))


@check
def lazy_frames_stay_lazy(transformer: Transformer, texts: pl.DataFrame) -> None:
    query = transformer.fit(texts.lazy()).transform(texts.lazy())
    assert isinstance(query, pl.LazyFrame)
    assert_frame_equal(query.collect(), transformer.transform(texts))


@check
def containers_hold_the_same(transformer: Transformer, texts: pl.DataFrame) -> None:
    import pandas as pd

    index = [f"row {row}" for row in range(texts.height)]
    as_pandas = pd.DataFrame(texts.to_dict(as_series=False), index=index)
    expected = transformer.fit_transform(texts)
    for given, index_out in ((as_pandas, index), (texts, None), (texts.lazy(), None)):
        for chosen in ("default", "pandas", "polars"):
            computed = clone(transformer).set_output(transform=chosen).fit_transform(given)
            if chosen == "pandas" or (chosen == "default" and given is as_pandas):
                assert isinstance(computed, pd.DataFrame)
                assert list(computed.index) == (index_out or list(range(texts.height)))
                assert list(computed.columns) == expected.columns
                assert np.array_equal(computed.to_numpy(), expected.to_numpy())
                assert [str(dtype) for dtype in computed.dtypes] == [
                    str(dtype).lower() for dtype in expected.dtypes
                ]
            else:
                assert_frame_equal(pl.LazyFrame.collect(computed.lazy()), expected)
                assert isinstance(computed, pl.LazyFrame) == isinstance(given, pl.LazyFrame)


@check
def output_follows_the_global_setting_and_survives_clone(
    transformer: Transformer, texts: pl.DataFrame
) -> None:
    with sklearn.config_context(transform_output="pandas"):
        assert hasattr(transformer.fit_transform(texts), "iloc")
        chosen = clone(transformer.set_output(transform="polars"))
        assert isinstance(chosen.fit_transform(texts), pl.DataFrame)
    assert transformer.set_output() is transformer
    assert isinstance(transformer.fit_transform(texts), pl.DataFrame)


@check
def fingerprints_follow_parameters_and_columns(
    transformer: Transformer, texts: pl.DataFrame
) -> None:
    fingerprint = transformer.fit(texts).fingerprint()
    assert clone(transformer).fit(texts.lazy()).fingerprint() == fingerprint
    for parameters in OTHERWISE[type(transformer)]:
        changed = clone(transformer).set_params(**parameters).fit(texts)
        assert changed.fingerprint() != fingerprint, parameters


@check
def pickling_keeps_a_fitted_transformer(transformer: Transformer, texts: pl.DataFrame) -> None:
    computed = transformer.fit_transform(texts)
    assert_frame_equal(pickle.loads(pickle.dumps(transformer)).transform(texts), computed)


def test_a_spawned_worker_computes_the_same(texts: pl.DataFrame) -> None:
    with get_context("spawn").Pool(1) as pool:
        for name in ("own feature", "pair", "battles"):
            transformer = clone(TRANSFORMERS[name]).fit(texts)
            computed = pool.apply(transformer.transform, (texts,))
            assert_frame_equal(computed, transformer.transform(texts))


def test_battles_are_learned_from_in_a_pipeline() -> None:
    battles = read_battles(generate_battles(80, seed=3).train).collect()
    model = make_pipeline(BattleFeatures(), StandardScaler(), LogisticRegression())
    predicted = model.fit(battles, battles["label"]).predict_proba(battles)
    assert predicted.shape == (80, 3)
