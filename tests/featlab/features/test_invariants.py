"""What holds for any battles: swap, streaming, row order, alone or together, finite values."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featlab.battles import BattleSchema, read_battles, swap_battles
from featlab.features import BattleColumns
from featlab.parity import swap
from tests.strategies import battle_frames

COLUMNS = BattleColumns()


def computed(battles: pl.DataFrame) -> pl.DataFrame:
    return COLUMNS.compute(battles.lazy()).collect()


@settings(max_examples=25)
@given(raw=battle_frames())
def test_swapping_battles_swaps_columns_exactly(raw: pl.DataFrame) -> None:
    battles = read_battles(raw).collect()
    assert computed(swap_battles(battles)).equals(swap(computed(battles), COLUMNS.parity))


@settings(max_examples=25)
@given(raw=battle_frames())
def test_no_null_and_nothing_that_is_not_finite(raw: pl.DataFrame) -> None:
    frame = computed(read_battles(raw).collect())
    assert frame.height == raw.height
    assert frame.null_count().sum_horizontal().item() == 0
    assert all(frame.select(pl.col(pl.Float32).is_finite().all()).row(0))


@settings(max_examples=15)
@given(raw=battle_frames(), random=st.randoms(use_true_random=False))
def test_rows_do_not_depend_on_each_other(raw: pl.DataFrame, random: object) -> None:
    battles = read_battles(raw).collect()
    order = list(range(raw.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert computed(battles[order]).equals(computed(battles)[order])
    assert computed(battles[:1]).equals(computed(battles)[:1])


@settings(max_examples=10)
@given(raw=battle_frames())
def test_streamed_equals_in_memory(
    tmp_path_factory: pytest.TempPathFactory, raw: pl.DataFrame
) -> None:
    path = tmp_path_factory.mktemp("streamed") / "features.parquet"
    query = COLUMNS.compute(read_battles(raw))
    query.sink_parquet(path)
    assert pl.read_parquet(path).equals(query.collect(engine="in-memory"))


def test_no_battle_at_all(raw_battles: pl.DataFrame) -> None:
    frame = computed(read_battles(raw_battles.clear()).collect())
    assert frame.height == 0
    assert frame.columns == ["id", *COLUMNS.names]


def test_a_megabyte_of_text_in_each_place() -> None:
    text = ("# Head\n\n- I'm **sorry**, 你好。 👍 `x` 1. \\(a\\) " * 25_000)[: 1 << 20]
    raw = pl.DataFrame({"id": [1], "prompt": text, "response_a": text, "response_b": text + "."})
    frame = computed(read_battles(raw, BattleSchema(texts="plain")).collect())
    assert frame["response_a__characters"].item() == 1 << 20
    assert frame["characters__difference"].item() == -1
    assert frame["responses__begin_alike"].item() == 1


def test_many_thousand_turns() -> None:
    battles = pl.DataFrame({"id": [1], "prompt": ["[]"], "response_b": ["[]"]}).with_columns(
        response_a=pl.Series([["a"] * 20_000])
    )
    frame = computed(read_battles(battles).collect())
    assert frame["response_a__words"].item() == 20_000
    assert frame["response_a__newlines"].item() == 39_998


@pytest.fixture(scope="module")
def real_battles(real_data: Path) -> pl.DataFrame:
    return read_battles(real_data / "arena" / "train.csv").collect()


def test_real_battles_swap_exactly(real_battles: pl.DataFrame) -> None:
    frame = computed(real_battles)
    assert computed(swap_battles(real_battles)).equals(swap(frame, COLUMNS.parity))
    assert frame.null_count().sum_horizontal().item() == 0
    assert all(frame.select(pl.col(pl.Float32).is_finite().all()).row(0))


def test_real_battles_streamed_in_tiles_equal_those_in_memory(
    real_battles: pl.DataFrame, tmp_path: Path
) -> None:
    tiled = pl.concat([real_battles] * 6)
    COLUMNS.compute(tiled.lazy()).sink_parquet(tmp_path / "tiled.parquet")
    alone = computed(real_battles)
    assert pl.read_parquet(tmp_path / "tiled.parquet").equals(pl.concat([alone] * 6))


NEVER_ON_REAL_BATTLES = {"has_anonymised_names"}
"""The Arena's other releases replace names by NAME_1; this one does not."""


def test_features_vary_on_real_battles(real_battles: pl.DataFrame) -> None:
    frame = computed(real_battles).drop("id")
    constant = {
        column.feature for column in COLUMNS.columns if frame[column.name].n_unique() == 1
    } - {column.feature for column in COLUMNS.columns if frame[column.name].n_unique() > 1}
    assert constant == NEVER_ON_REAL_BATTLES
