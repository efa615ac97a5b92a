from dataclasses import replace
from threading import Event

import numpy as np
import polars as pl
import pytest

from featlab.parity import Parity, swap
from models.evaluation.metrics import log_loss, prior
from models.stacking.table import ExtraRows, StackingData
from models.stacking.trees import FoldTrainer, TrainingSet, fit_stacker, mean_over_orders
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


def test_any_number_of_threads_gives_the_same_numbers(
    data: StackingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("FEATLAB_THREADS", threads)
        stacker, prediction = fit_stacker(data, QUICK, seed=0, repeats=2)
        found.append((prediction.probabilities, stacker.predict(data.frame)))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


def test_a_fit_that_is_dropped_ends_at_once(data: StackingData) -> None:
    dropped = Event()
    dropped.set()
    booster = FoldTrainer(data, 0, seed=0).fit_stopped(QUICK, dropped=dropped)
    assert booster.current_iteration() == 1


def test_stopping_rows_lie_inside_the_training_folds(data: StackingData) -> None:
    for fold in data.fold_numbers:
        fitting, stopping = data.stopping_split(fold)
        assert set(fitting) | set(stopping) == set(data.training_rows(fold))
        assert not set(fitting) & set(stopping)


def test_a_fit_on_one_order_sees_each_battle_once_and_predicts_about_the_same() -> None:
    data = make_data(900)
    trainer = FoldTrainer(data, 0, seed=0)
    fitting, _ = data.stopping_split(0)
    rows = TrainingSet.of(data, fitting).in_one_order(seed=1).construct()
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


def extra_rows(data: StackingData, *, tie_known: bool) -> ExtraRows:
    more = make_data(60, seed=4)
    return ExtraRows(
        more.frame.select(data.frame.columns),
        np.eye(3)[np.where(more.labels == 2, 0, more.labels)],
        np.full(60, 0.5),
        np.full(60, tie_known),
        np.arange(60) % 3,
    )


def test_an_extra_battle_weighs_what_it_says_and_brings_the_ties_that_its_source_hid(
    data: StackingData,
) -> None:
    rows = data.training_rows(0)
    for known, weight in ((True, 30.0), (False, 30.0 / 0.8)):
        joined = TrainingSet.of(
            replace(data, extra=extra_rows(data, tie_known=known)), rows, np.full(60, 0.2)
        )
        assert joined.weight is not None
        assert joined.weight.sum() == pytest.approx(len(rows) + weight)
        assert np.array_equal(joined.labels[: len(rows)], data.labels[rows])
        both = joined.in_both_orders().construct()
        assert both.get_weight().sum() == pytest.approx(2 * joined.weight.sum())


def test_extra_battles_are_neither_predicted_nor_stopped_on(data: StackingData) -> None:
    joined = replace(data, extra=extra_rows(data, tie_known=False))
    _, prediction = fit_stacker(joined, QUICK, seed=0)
    assert prediction.probabilities.shape == (len(data.labels), 3)
    trainer = FoldTrainer(joined, 0, seed=0)
    assert trainer.fit_stopped(QUICK).best_iteration > 0
    _, stopping = data.stopping_split(0)
    assert trainer._fitting[1].num_data() == 2 * len(stopping)


def test_trees_do_not_split_on_coordinates_of_vectors(data: StackingData) -> None:
    names = ["reading_vector__0"]
    told = pl.DataFrame({names[0]: (data.labels == 0).astype(float)})
    wide = replace(
        data,
        frame=data.frame.hstack(told),
        parity={**data.parity, names[0]: Parity.ODD},
    )
    (plain, _), (stacker, _) = (fit_stacker(each, QUICK, seed=0) for each in (data, wide))
    assert stacker.columns == plain.columns
    assert np.array_equal(stacker.predict(wide.frame), plain.predict(data.frame))
