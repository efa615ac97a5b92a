"""The trees: both orders, early stopping inside the training folds, extra battles."""

from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from featlab.columns import Kind
from models.probabilities import exchanged, log_loss
from models.stacking.table import Table
from models.stacking.trees import FoldTrainer, TrainingSet, fit_trees, mean_over_orders
from tests.models.conftest import QUICK, make_data, make_outcomes, relabelled, widened


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    runs = [fit_trees(make_data(), QUICK, seed)[1].probabilities for seed in (5, 5, 6)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_a_fit_that_is_dropped_ends_at_once(data: Table) -> None:
    dropped = Event()
    dropped.set()
    booster = FoldTrainer(data, 0, seed=0).fit_stopped(QUICK, dropped=dropped)
    assert booster.current_iteration() == 1


def test_a_fit_on_one_order_sees_each_battle_once_and_predicts_about_the_same() -> None:
    data = make_data(900)
    trainer = FoldTrainer(data, 0, seed=0)
    fitting, _ = data.stopping_split(0)
    rows = TrainingSet.of(data, fitting).in_one_order(seed=1).construct()
    assert rows.num_data() == len(fitting)
    other = rows.get_label() != data.labels[fitting]
    decided = data.labels[fitting] < 2
    assert 0.3 < other[decided].mean() < 0.7
    assert not other[~decided].any()

    held_out = data.labels[trainer.held_out_rows]
    losses = [
        log_loss(
            mean_over_orders(
                *trainer.predict_held_out(trainer.fit_stopped(QUICK, one_order=one_order))
            ),
            held_out,
        )
        for one_order in (False, True)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=0.05)


def test_one_order_alone_is_not_symmetric_but_the_mean_is(data: Table) -> None:
    _, predicted = fit_trees(data, QUICK, seed=0)
    one, other = predicted.one_order, predicted.other_order
    assert not np.array_equal(one, exchanged(other))
    assert np.array_equal(mean_over_orders(one, other), predicted.probabilities)
    assert np.array_equal(exchanged(mean_over_orders(other, one)), predicted.probabilities)


def test_rounds_stop_before_the_limit_when_nothing_is_learned() -> None:
    noise = relabelled(make_data(200), np.random.default_rng(9).integers(0, 3, 200))
    booster = FoldTrainer(noise, 0, seed=0).fit_stopped(replace(QUICK, max_rounds=500))
    assert booster.best_iteration < 100


def with_extra(data: Table, *, tie_known: bool, weight: float = 0.5) -> Table:
    more = make_data(60, seed=4)
    decisive = np.where(more.labels == 2, 0, more.labels)
    outcomes = make_outcomes(decisive, weight=[weight] * 60, tie_known=[tie_known] * 60)
    return replace(data, extra=replace(more, outcomes=outcomes))


@pytest.mark.parametrize(("known", "weight"), [(True, 30.0), (False, 30.0 / 0.8)])
def test_an_extra_battle_weighs_what_it_says_and_brings_the_ties_that_its_source_hid(
    data: Table, known: bool, weight: float
) -> None:
    rows = data.training_rows(0)
    joined = TrainingSet.of(with_extra(data, tie_known=known), rows, np.full(60, 0.2))
    assert joined.weight is not None
    assert joined.weight.sum() == pytest.approx(len(rows) + weight)
    assert np.array_equal(joined.labels[: len(rows)], data.labels[rows])
    both = joined.in_both_orders().construct()
    assert both.get_weight().sum() == pytest.approx(2 * joined.weight.sum())


def test_extra_battles_train_as_far_as_they_weigh_and_are_not_predicted(data: Table) -> None:
    alone, silent, heard = (
        fit_trees(table, QUICK, seed=0)
        for table in (
            data,
            with_extra(data, tie_known=False, weight=0.0),
            with_extra(data, tie_known=False),
        )
    )
    assert np.array_equal(silent[1].probabilities, alone[1].probabilities)
    assert not np.array_equal(heard[1].probabilities, alone[1].probabilities)
    assert heard[1].probabilities.shape == (len(data.labels), 3)


def test_trees_do_not_split_on_coordinates_of_vectors(data: Table) -> None:
    wide = widened(data, {"v__0": (data.labels == 0).astype(float)}, Kind.VECTOR)
    (plain, _), (trees, _) = (fit_trees(each, QUICK, seed=0) for each in (data, wide))
    assert trees.columns == plain.columns
    assert np.array_equal(trees.predict(wide.frame), plain.predict(data.frame))
