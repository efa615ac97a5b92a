"""Battles of like sides: how much likelier a tie they are."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from featlab.battles.schema import TIE
from models.probabilities import Probabilities
from models.stacking.blend import Blend, BlendOutOfFold, fit_blend, like_sides
from models.stacking.table import Table
from tests.models.conftest import QUICK, make_data, relabelled

ALIKE = np.arange(300) < 24


def with_alike() -> Table:
    """A twelfth of the battles have like sides, and all but a few of those are ties."""
    data = make_data()
    frame = data.frame.with_columns(
        pl.when(pl.Series(ALIKE)).then(0.0).otherwise("x__difference").alias("x__difference")
    )
    labels = np.where(ALIKE & (np.arange(300) > 2), TIE, data.labels)
    return relabelled(replace(data, frame=frame), labels)


def without_offset(blend: Blend, found: BlendOutOfFold, table: Table) -> list[Probabilities]:
    bare = replace(found, offset=np.zeros(len(table.labels)))
    return [bare.probabilities, replace(blend, like_sides_offset=0.0).predict(table.frame)]


def test_their_ties_are_learnt_and_nothing_else_moves() -> None:
    table = with_alike()
    assert np.array_equal(like_sides(table.frame, table.columns), ALIKE)
    blend, found = fit_blend(table, QUICK, seed=0)
    pairs = zip(
        [found.probabilities, blend.predict(table.frame)],
        without_offset(blend, found, table),
        strict=True,
    )
    for moved, bare in pairs:
        assert np.array_equal(moved[~ALIKE], bare[~ALIKE])
        assert (moved[ALIKE, TIE] > bare[ALIKE, TIE]).all()
        assert moved.sum(axis=1) == pytest.approx(1)
        assert np.array_equal(moved[ALIKE, 0], moved[ALIKE, 1])


def test_without_ties_or_without_such_battles_there_is_no_offset() -> None:
    alike = with_alike()
    for table in (make_data(), relabelled(alike, np.arange(300) % 2)):
        blend, found = fit_blend(table, QUICK, seed=0)
        assert blend.like_sides_offset == 0.0
        assert not found.offset.any()
