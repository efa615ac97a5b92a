"""The learning curve: nested subsets of whole prompts, blind to what is held out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest

from featlab.errors import ConfigError
from featlab.signals import Context
from models.evaluation.learning_curve import (
    CurveLosses,
    PreparedSignal,
    Subset,
    describe_curve,
    measure_curve,
    planned_subsets,
    predict_held_out,
    subset_rows,
)
from models.evaluation.metrics import resampled_means
from models.stacking.table import Table
from tests.models.conftest import make_data, other_in_fold, relabelled
from tests.models.remembering import POISON, Remembering

SHARES = (0.125, 0.25, 0.5, 1.0)


def curve_table(count: int = 240) -> Table:
    """Groups of one to three battles, none in two folds."""
    table = make_data(count)
    groups = np.random.default_rng(1).integers(0, count // 2, count)
    outcomes = replace(table.outcomes, groups=groups)
    return replace(table, outcomes=outcomes, folds=groups % 3)


@pytest.fixture(scope="module")
def data() -> Table:
    return curve_table()


def rows_of(data: Table, share: float, draw: int = 0, held_out: int = 1) -> set[int]:
    rows = subset_rows(data.groups, data.folds, Subset(held_out, share, draw), seed=4)
    assert len(set(rows.tolist())) == len(rows)
    return set(rows.tolist())


def test_smaller_subsets_lie_in_larger_ones_and_the_whole_is_all_the_rest(data: Table) -> None:
    nested = [rows_of(data, share) for share in SHARES]
    for smaller, larger in pairwise(nested):
        assert smaller < larger
    assert nested[-1] == set(np.flatnonzero(data.folds != 1).tolist())


def test_groups_are_never_split_and_the_held_out_fold_never_drawn(data: Table) -> None:
    for share in SHARES:
        rows = rows_of(data, share)
        inside = set(data.groups[list(rows)].tolist())
        outside = set(range(len(data.groups))) - rows
        assert not inside & set(data.groups[list(outside)].tolist())
        assert 1 not in data.folds[list(rows)]


def test_subsets_have_their_share_of_every_training_fold(data: Table) -> None:
    for share in SHARES:
        drawn = np.bincount(data.folds[list(rows_of(data, share))], minlength=3)
        there = np.bincount(data.folds)
        assert drawn[0] == pytest.approx(share * there[0], abs=8)
        assert drawn[2] == pytest.approx(share * there[2], abs=8)


def test_draws_and_held_out_folds_differ_and_repeat(data: Table) -> None:
    assert rows_of(data, 0.25, draw=0) != rows_of(data, 0.25, draw=1)
    assert rows_of(data, 0.25) == rows_of(data, 0.25)


def test_small_shares_are_drawn_more_often() -> None:
    plan = planned_subsets([0, 1, 2], [1.0, 0.5, 0.25], draws=3)
    assert [(s.share, s.draw) for s in plan if s.held_out == 1] == [
        (0.25, 0),
        (0.25, 1),
        (0.25, 2),
        (0.5, 0),
        (0.5, 1),
        (1.0, 0),
    ]


@pytest.mark.parametrize("shares", [[0.5, 1.0], [0.0, 0.5, 1.0], [0.5, 0.5, 1.0], [0.5, 0.7, 1.2]])
def test_shares_that_make_no_curve_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match="at least 3 different"):
        planned_subsets([0], shares, draws=1)


def test_learned_signals_see_the_subset_only_and_no_outcome_of_what_they_score(
    data: Table,
) -> None:
    log: list[Any] = []
    battles = pl.LazyFrame({"id": np.arange(240), "label": data.labels, "model_a": ["m"] * 240})
    signal = PreparedSignal.of(Remembering, Context(options={"log": log}), battles)
    rows = subset_rows(data.groups, data.folds, Subset(1, 0.5, 0), seed=4)
    subset, held_out = set(rows.tolist()), set(np.flatnonzero(data.folds == 1).tolist())
    outside = ~np.isin(np.arange(240), rows)
    poisoned = relabelled(data, np.where(outside, POISON, data.labels))
    given, blind = (predict_held_out(each, [signal], rows, 1, 0) for each in (data, poisoned))
    assert np.array_equal(given, blind)
    prepared, *inside, last = log[: len(log) // 2 + 1]
    assert prepared == ["id"]
    assert len(inside) == 2
    for fitted, shown in inside:
        assert fitted | shown == subset
        assert not fitted & shown
    assert last == (subset, held_out)


def test_outcomes_of_the_held_out_fold_change_no_prediction(data: Table) -> None:
    rows = subset_rows(data.groups, data.folds, Subset(1, 0.5, 0), seed=4)
    before = predict_held_out(data, [], rows, 1, seed=0)
    assert before.shape == ((data.folds == 1).sum(), 3)
    assert np.allclose(before.sum(1), 1)
    assert np.array_equal(before, predict_held_out(other_in_fold(data, 1), [], rows, 1, seed=0))
    unlike = other_in_fold(data, 0)
    assert not np.array_equal(before, predict_held_out(unlike, [], rows, 1, seed=0))


def test_a_curve_scores_every_battle_at_every_share() -> None:
    data = curve_table(360)
    told: list[int] = []
    plan = planned_subsets([0, 1, 2], [0.125, 0.5, 1.0], draws=2)
    curve = measure_curve(data, [], plan, 0, lambda done, subset: told.append(done))
    assert told == list(range(1, len(plan) + 1))
    assert curve.shares == (0.125, 0.5, 1.0)
    assert curve.rows.shape == (3, 360)
    assert np.isfinite(curve.rows).all()
    assert [len(draws) for draws in curve.draws] == [2, 2, 1]
    assert curve.rows.mean(axis=1) == pytest.approx([np.mean(draws) for draws in curve.draws])
    assert curve.counts[-1] == pytest.approx(240)
    assert curve.rows[-1].mean() < curve.rows[0].mean()


def known_losses(seed: int, count: int = 2000) -> CurveLosses:
    """Row losses around a known power law, mostly common to all sizes as real ones are."""
    generator = np.random.default_rng(seed)
    counts = np.array([200.0, 400.0, 800.0, 1600.0])
    common = generator.normal(0, 0.3, count)
    own = generator.normal(0, 0.1, (4, count))
    rows = (0.9 + 2 * counts**-0.5)[:, None] + common + own
    return CurveLosses((0.125, 0.25, 0.5, 1.0), counts, rows, ((1.0,),) * 4)


def test_the_intervals_cover_a_known_curve_about_as_often_as_they_say() -> None:
    groups = np.arange(2000)
    truth = 0.9 + 2 * 57_477**-0.5
    covered, point = 0, 0
    for seed in range(20):
        found = describe_curve(known_losses(seed), groups, seed, 57_477)
        law = found["power_law"]
        covered += law["low"] <= truth <= law["high"]
        point += found["points"][-1]["low"] <= 0.95 <= found["points"][-1]["high"]
    assert covered >= 17
    assert point >= 17


def test_what_is_described_is_in_order_and_says_that_it_extrapolates() -> None:
    found = describe_curve(known_losses(0), np.arange(2000), 0, 57_477)
    law = found["power_law"]
    assert [point["n"] for point in found["points"]] == [200, 400, 800, 1600]
    assert list(found["points"][0]) == ["share", "n", "log_loss", "low", "high", "draws"]
    assert law["largest_measured_n"] == 1600 < law["extrapolated_n"] == 57_477
    assert "extrapolation" in law["note"]
    assert law["at_bound"] is False
    assert law["asymptote_low"] <= law["asymptote"] <= law["asymptote_high"]
    band = pl.DataFrame(law["band"])
    assert band["n"][0] == pytest.approx(200)
    assert band["n"][-1] == pytest.approx(57_477)
    assert band["log_loss"][-1] == pytest.approx(law["extrapolated"])
    assert (band["low"] <= band["high"]).all()
    width = band["high"] - band["low"]
    assert width[-1] > width[30]


def test_a_loss_that_falls_evenly_in_log_n_is_said_to_lie_at_a_bound() -> None:
    losses = known_losses(0)
    even = (
        losses.rows
        - losses.rows.mean(axis=1)[:, None]
        + 1.2
        - 0.02 * np.log(losses.counts)[:, None]
    )
    law = describe_curve(replace(losses, rows=even), np.arange(2000), 0, 57_477)["power_law"]
    assert law["at_bound"] is True
    assert law["at_bounds"] > 0.5


def test_all_shares_are_resampled_together() -> None:
    losses = np.random.default_rng(0).normal(1, 0.2, 300)
    rows = np.stack([losses, losses + 0.1, losses])
    means = resampled_means(rows, np.arange(300) // 3, seed=1, resamples=50)
    assert np.allclose(means[:, 1] - means[:, 0], 0.1)
    assert means[:, 0].std() > 0.001
