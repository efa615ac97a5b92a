"""What a declaration promises holds for every column: name, dtype, family, meaning, parity."""

from __future__ import annotations

import pickle
import re

import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.errors import FeatureError
from featlab.features import (
    FAMILIES,
    FEATURES,
    PAIRINGS,
    BattleColumns,
    Feature,
    Scope,
    Text,
    feature_table,
)
from featlab.features.columns import ONE_TEXT
from featlab.parity import Parity, twin

COLUMNS = BattleColumns()
SHOUTING = Feature(
    "shouting",
    lambda text: text.count("!"),
    pl.UInt32,
    "mine",
    "exclamation marks",
    (Scope.PROMPT,),
)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_a_feature_is_documented(feature: Feature) -> None:
    assert re.fullmatch("[a-z0-9_]+", feature.name)
    assert "__" not in feature.name
    assert feature.family in FAMILIES
    assert feature.scopes
    assert feature.meaning.strip() == feature.meaning != ""
    assert "\n" not in feature.meaning
    assert not feature.meaning.endswith(".") or feature.name == "full_stops"
    assert feature.dtype in (pl.UInt8, pl.UInt32, pl.Float32)
    assert set(feature.pairings) <= set(PAIRINGS)


def test_columns_are_named_by_the_rule_and_once() -> None:
    assert len(set(COLUMNS.names)) == len(COLUMNS.names)
    for column in COLUMNS.columns:
        assert re.fullmatch(r"[a-z0-9_]+__[a-z0-9_]+", column.name)
        assert column.meaning
        assert column.family in FAMILIES


def test_side_columns_have_a_twin() -> None:
    for name, parity in COLUMNS.parity.items():
        if parity is Parity.SIDE:
            assert COLUMNS.parity[twin(name)] is Parity.SIDE
            assert twin(twin(name)) == name


def test_computed_dtypes_are_the_declared_ones(raw_battles: pl.DataFrame) -> None:
    query = COLUMNS.compute(read_battles(raw_battles))
    assert isinstance(query, pl.LazyFrame)
    assert query.collect_schema().names() == ["id", *COLUMNS.names]
    frame = query.collect()
    dtypes = {feature.name: str(feature.dtype) for feature in FEATURES}
    paired = {pairing.column(feature.name) for feature in FEATURES for pairing in feature.pairings}
    assert {name: str(dtype) for name, dtype in frame.schema.items() if name != "id"} == {
        column.name: "Float32" if column.name in paired else dtypes[column.feature]
        for column in COLUMNS.columns
    }


def test_the_table_lists_every_feature() -> None:
    table = feature_table()
    assert table["name"].to_list() == [feature.name for feature in FEATURES]
    assert table.null_count().sum_horizontal().item() == 0
    assert table["name"].is_unique().all()


def test_families_select_columns_and_still_find_what_they_build_on(
    raw_battles: pl.DataFrame,
) -> None:
    battles = read_battles(raw_battles)
    everything = COLUMNS.compute(battles).collect()
    names = []
    for family in FAMILIES:
        columns = BattleColumns(families=[family])
        assert {column.family for column in columns.columns} == {family}
        assert columns.compute(battles).collect().equals(everything.select("id", *columns.names))
        names += columns.names
    assert names == COLUMNS.names


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_features_pickle(feature: Feature) -> None:
    again = pickle.loads(pickle.dumps(feature))
    texts = [Text("a"), Text("b")][: 1 if feature.scopes[0] in ONE_TEXT else 2]
    assert repr(again) == repr(feature)
    assert again.pairings == feature.pairings
    assert again.expression("x", *texts).meta.eq(feature.expression("x", *texts))


def test_planned_columns_pickle(raw_battles: pl.DataFrame) -> None:
    battles = read_battles(raw_battles).collect()
    expected = COLUMNS.compute(battles.lazy()).collect()
    again = pickle.loads(pickle.dumps(COLUMNS))
    assert again.fingerprint() == COLUMNS.fingerprint()
    assert again.compute(battles.lazy()).collect().equals(expected)


def test_a_family_that_does_not_exist() -> None:
    with pytest.raises(FeatureError, match="no feature family 'newline'; there are agreement"):
        BattleColumns(families=["newlines", "newline"])


def test_own_features_join_by_the_same_declaration(raw_battles: pl.DataFrame) -> None:
    columns = BattleColumns([*FEATURES, SHOUTING], families=["mine"])
    raw = raw_battles.with_columns(prompt=pl.lit('["a! b!"]'))
    assert columns.names == ["prompt__shouting"]
    assert columns.compute(read_battles(raw)).collect()["prompt__shouting"].to_list() == [2] * 4


def test_names_declared_twice() -> None:
    with pytest.raises(FeatureError, match="'shouting' is declared twice for prompt"):
        BattleColumns([SHOUTING, SHOUTING])


@pytest.mark.parametrize("name", ["Words", "a__b", "_a", "a_", "1a", "a b", "", "é", "a-b"])
def test_misnamed_features(name: str) -> None:
    with pytest.raises(FeatureError, match="is not words of"):
        Feature(name, lambda text: text.joined, pl.UInt32, "mine", "meaning")


def test_features_that_need_each_other_or_what_is_not_there(raw_battles: pl.DataFrame) -> None:
    def build(other: str) -> Feature:
        return Feature(
            "loop" if other != "loop" else "pool",
            lambda text: text.feature(other),
            pl.UInt32,
            "mine",
            "another feature",
            (Scope.PROMPT,),
        )

    battles = read_battles(raw_battles)
    with pytest.raises(FeatureError, match="no column or feature 'prompt__nothing'"):
        BattleColumns([build("nothing")]).compute(battles)
    with pytest.raises(FeatureError, match=r"'prompt__(loop|pool)' is defined by itself"):
        BattleColumns([build("pool"), build("loop")]).compute(battles)


def test_the_fingerprint_follows_names_expressions_and_dtypes() -> None:
    def declared(pattern: str, dtype: type[pl.DataType], name: str = "mine") -> str:
        feature = Feature(name, lambda text: text.count(pattern), dtype, "mine", "m")
        return BattleColumns([feature]).fingerprint()

    base = declared("a", pl.UInt32)
    assert base == declared("a", pl.UInt32)
    others = {declared("b", pl.UInt32), declared("a", pl.UInt8), declared("a", pl.UInt32, "own")}
    assert len(others | {base}) == 4
    assert COLUMNS.fingerprint() == BattleColumns().fingerprint()
    assert COLUMNS.fingerprint() != BattleColumns(families=["newlines"]).fingerprint()


def test_the_fingerprint_follows_what_a_feature_builds_on() -> None:
    def declared(pattern: str) -> str:
        marks = Feature("marks", lambda text: text.count(pattern), pl.UInt32, "base", "m")
        share = Feature("share", lambda text: text.feature("marks") / 2, pl.Float32, "top", "m")
        return BattleColumns([marks, share], families=["top"]).fingerprint()

    assert declared("a") == declared("a")
    assert declared("a") != declared("b")
