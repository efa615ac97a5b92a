from dataclasses import replace

import numpy as np

from featlab.parity import swap
from models.metrics import log_loss, prior
from models.stacker import FoldTrainer, StackingData, fit_stacker
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


def test_one_order_alone_is_not_symmetric_but_the_mean_is(data: StackingData) -> None:
    _, prediction = fit_stacker(data, QUICK, seed=0)
    assert np.abs(prediction.one_order[:, 0] - prediction.other_order[:, 1]).max() > 0


def test_rounds_stop_before_the_limit_when_nothing_is_learned() -> None:
    data = make_data(200)
    noise = replace(data, labels=np.random.default_rng(9).integers(0, 3, 200))
    booster = FoldTrainer(noise, 0, seed=0).fit_stopped(replace(QUICK, max_rounds=500))
    assert booster.best_iteration < 100
