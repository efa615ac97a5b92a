from dataclasses import replace

import numpy as np
import pytest

from featlab.parity import swap
from models.metrics import log_loss, prior
from models.stacker import FoldTrainer, StackingData, fit_stacker, mean_over_orders
from tests.models.conftest import QUICK, make_data


def test_predictions_of_exchanged_battles_are_exchanged_exactly(data: StackingData) -> None:
    stacker, _ = fit_stacker(data, QUICK, seed=0, repeats=2)
    given = stacker.predict(data.frame)
    exchanged = stacker.predict(swap(data.frame, data.parity))
    assert np.array_equal(exchanged, given[:, [1, 0, 2]])
    assert np.allclose(given.sum(axis=1), 1, atol=1e-12)


def test_it_learns_what_there_is_to_learn(data: StackingData) -> None:
    _, prediction = fit_stacker(data, QUICK, seed=0)
    guess = np.tile(prior(data.labels), (len(data.labels), 1))
    assert log_loss(prediction.probabilities, data.labels) < log_loss(guess, data.labels) - 0.1


def test_labels_of_a_fold_do_not_reach_its_own_predictions(data: StackingData) -> None:
    _, prediction = fit_stacker(data, QUICK, seed=0)
    changed = data.labels.copy()
    changed[data.folds == 1] = 2
    _, other = fit_stacker(replace(data, labels=changed), QUICK, seed=0)
    held_out = data.folds == 1
    assert np.array_equal(prediction.probabilities[held_out], other.probabilities[held_out])
    assert not np.array_equal(prediction.probabilities[~held_out], other.probabilities[~held_out])


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    runs = [fit_stacker(make_data(), QUICK, seed)[1].probabilities for seed in (5, 5, 6)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_stopping_rows_lie_inside_the_training_folds(data: StackingData) -> None:
    for fold in data.fold_numbers:
        fitting, stopping = data.stopping_split(fold)
        assert set(fitting) | set(stopping) == set(data.training_rows(fold))
        assert not set(fitting) & set(stopping)


def test_a_fit_on_one_order_sees_each_battle_once_and_predicts_about_the_same() -> None:
    data = make_data(900)
    trainer = FoldTrainer(data, 0, seed=0)
    fitting, _ = data.stopping_split(0)
    rows = data.dataset_in_one_order(fitting, seed=1).construct()
    assert rows.num_data() == len(fitting)
    exchanged = rows.get_label() != data.labels[fitting]
    decided = data.labels[fitting] < 2
    assert 0.3 < exchanged[decided].mean() < 0.7
    assert not exchanged[~decided].any()

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


def test_one_order_alone_is_not_symmetric_but_the_mean_is(data: StackingData) -> None:
    _, prediction = fit_stacker(data, QUICK, seed=0)
    assert np.abs(prediction.one_order[:, 0] - prediction.other_order[:, 1]).max() > 0


def test_rounds_stop_before_the_limit_when_nothing_is_learned() -> None:
    data = make_data(200)
    noise = replace(data, labels=np.random.default_rng(9).integers(0, 3, 200))
    booster = FoldTrainer(noise, 0, seed=0).fit_stopped(replace(QUICK, max_rounds=500))
    assert booster.best_iteration < 100
