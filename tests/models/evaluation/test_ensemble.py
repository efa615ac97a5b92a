import numpy as np

from featlab.parity import Parity
from models.evaluation.ensemble import (
    evaluate_predictor,
    evaluate_signal_alone,
    loss_on_other_folds,
    out_of_fold_prior,
)
from models.stacking.table import StackingData
from models.stacking.trees import fit_stacker
from tests.models.conftest import QUICK


def test_the_prior_of_a_fold_comes_from_the_others() -> None:
    labels, folds = np.array([0, 0, 2, 2, 2, 2]), np.array([0, 0, 1, 1, 2, 2])
    stated = out_of_fold_prior(labels, folds)
    assert stated[0].tolist() == [0, 0, 1]
    assert stated[2].tolist() == [0.25, 0.25, 0.5]


def test_a_predictor_is_measured_before_and_after_calibration(data: StackingData) -> None:
    _, prediction = fit_stacker(data, QUICK, seed=0)
    figures = evaluate_predictor(prediction, data, np.arange(len(data.labels)), 0)
    assert figures["gain_over_prior"]["low"] > 0
    assert figures["swap_asymmetry"]["one_order"] > 0
    assert figures["swap_asymmetry"]["mean_of_both_orders"] == 0
    before, after = figures["before_calibration"], figures["after_calibration"]
    assert before["log_loss"]["value"] != after["log_loss"]["value"]


def test_a_signal_alone_sees_its_own_columns_only(data: StackingData) -> None:
    groups = np.arange(len(data.labels))
    noise = {"response_a__noise": Parity.SIDE, "response_b__noise": Parity.SIDE}
    told = {"x__difference": Parity.ODD, "x__sum": Parity.EVEN}
    poor = evaluate_signal_alone(data, noise, groups, 0)["after_calibration"]["log_loss"]
    good = evaluate_signal_alone(data, told, groups, 0)["after_calibration"]["log_loss"]
    assert good["high"] < poor["low"]


def test_other_folds_give_another_but_similar_loss(data: StackingData) -> None:
    shuffled = np.random.default_rng(0).permutation(data.folds)
    first = loss_on_other_folds(data, data.folds, QUICK, 0)
    second = loss_on_other_folds(data, shuffled, QUICK, 0)
    assert first != second
    assert abs(first - second) < 0.1
