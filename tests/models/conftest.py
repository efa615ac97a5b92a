"""Small tables that members learn within a moment."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from featlab.columns import Column, Kind
from featlab.parity import Parity
from featlab.signals.outcomes import Outcomes
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters

QUICK = BoostingParameters(
    learning_rate=0.2, num_leaves=4, min_data_in_leaf=10, max_rounds=30, patience=5
)


def make_outcomes(labels: np.ndarray, **columns: Any) -> Outcomes:
    """Outcomes of battles with a prompt each."""
    prompts = [[str(number)] for number in range(len(labels))]
    return Outcomes.of(pl.DataFrame({"prompt": prompts, "label": labels, **columns}))


def make_data(count: int = 300, seed: int = 0, folds: int = 3) -> Table:
    """Battles decided by an odd column, tied where an even one is small."""
    generator = np.random.default_rng(seed)
    odd, even = generator.normal(size=count), generator.random(count)
    labels = np.where(even < 0.3, 2, np.where(odd + generator.normal(size=count) > 0, 0, 1))
    columns = (
        Column("x__difference", Parity.ODD, "x", "decides"),
        Column("x__sum", Parity.EVEN, "x", "ties where it is small"),
    )
    frame = pl.DataFrame({"x__difference": odd, "x__sum": even}).cast(pl.Float32)
    return Table(frame, columns, make_outcomes(labels), np.arange(count) % folds)


def relabelled(table: Table, labels: np.ndarray) -> Table:
    """The same battles with other outcomes."""
    return replace(table, outcomes=replace(table.outcomes, labels=labels))


def other_in_fold(table: Table, fold: int) -> Table:
    """The same battles, each of a fold with another outcome."""
    return relabelled(table, np.where(table.folds == fold, (table.labels + 1) % 3, table.labels))


def widened(table: Table, columns: dict[str, np.ndarray], kind: Kind = Kind.SCALAR) -> Table:
    """The same battles with further odd columns."""
    added = (Column(name, Parity.ODD, "y", "added", kind) for name in columns)
    return replace(
        table,
        frame=table.frame.hstack(pl.DataFrame(columns)),
        columns=(*table.columns, *added),
    )


@pytest.fixture
def data() -> Table:
    return make_data()
