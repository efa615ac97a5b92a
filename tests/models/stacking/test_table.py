"""The table: parity survives stacking, hidden ties are counted, folds are kept apart."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlab.columns import Column, Kind, parities
from featlab.parity import Parity, swap
from featlab.signals.outcomes import Outcomes
from models.stacking.table import (
    Table,
    counted_outcomes,
    exchanged_labels,
    matrices,
    stacked_columns,
    stacked_frame,
)
from models.stacking.trained_on import even_means
from tests.models.conftest import make_outcomes

SIGNAL = (
    Column("d", Parity.ODD, "f", "a difference"),
    Column("response_a__w", Parity.SIDE, "f", "words"),
    Column("response_b__w", Parity.SIDE, "f", "words"),
    Column("m", Parity.ODD, "f", "log odds", Kind.MARGIN),
    Column("s", Parity.EVEN, "f", "a sum"),
    Column("v__0", Parity.ODD, "f", "a coordinate", Kind.VECTOR),
)
NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=6)


@given(st.lists(NUMBERS, min_size=1, max_size=5))
def test_stacking_exchanged_battles_exchanges_the_stacked_ones(rows: list[list[float]]) -> None:
    frame = pl.DataFrame(rows, schema=[column.name for column in SIGNAL], orient="row")
    columns = stacked_columns(SIGNAL)
    stacked = stacked_frame(frame, columns)
    assert (
        stacked.columns == [column.name for column in columns] == ["d", "m", "s", "v__0", "m_size"]
    )
    swapped = stacked_frame(swap(frame, parities(SIGNAL)), columns)
    assert swapped.equals(swap(stacked, parities(columns)))
    both = matrices(stacked, columns)
    assert np.array_equal(both[1], matrices(swapped, columns)[0])


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 5), st.booleans(), st.floats(0, 1)), min_size=1
    )
)
def test_every_battle_counts_for_its_weight_and_the_ties_that_its_source_hid(
    battles: list[tuple[int, float, bool, float]],
) -> None:
    labels, weight, known, chance = map(np.array, zip(*battles, strict=True))
    outcomes = make_outcomes(labels, weight=weight, tie_known=known)
    rows, counted, weights = counted_outcomes(outcomes, chance)
    total = np.bincount(rows, weights, minlength=len(labels))
    hidden = np.where(known, 0.0, np.minimum(chance, 0.9))
    assert total == pytest.approx(weight / (1 - hidden))
    assert ((counted == labels[rows]) | ((counted == 2) & ~known[rows])).all()
    assert (weights > 0).all()


@given(st.lists(st.integers(0, 2), min_size=1).map(np.array))
def test_exchanging_outcomes_twice_changes_nothing(labels: np.ndarray) -> None:
    assert np.array_equal(exchanged_labels(exchanged_labels(labels)), labels)
    assert np.array_equal(exchanged_labels(labels) == 2, labels == 2)


def test_stopping_rows_lie_inside_the_training_folds(data: Table) -> None:
    for fold in data.fold_numbers:
        fitting, stopping = data.stopping_split(fold)
        assert set(fitting) | set(stopping) == set(data.training_rows(fold))
        assert not set(fitting) & set(stopping)


def test_what_is_infinite_is_missing_to_the_trees_and_to_means() -> None:
    columns = (
        Column("odd", Parity.ODD, "f", "odd"),
        Column("even", Parity.EVEN, "f", "even"),
    )
    values = [1.0, float("inf"), float("-inf"), float("nan"), None]
    frame = pl.DataFrame({"odd": values, "even": values}, strict=False)
    for matrix in matrices(frame, columns):
        assert np.isfinite(matrix).sum(axis=0).tolist() == [1, 1]
        assert not np.isinf(matrix).any()
    battles = pl.DataFrame({"prompt": [["?"]] * 5, "label": [0] * 5})
    table = Table(frame, columns, Outcomes.of(battles), np.zeros(5, np.int64))
    assert even_means(table) == {"even": 1.0}
