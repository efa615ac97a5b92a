"""What is reported of an ensemble: each signal alone, what it adds, the members, the search."""

import numpy as np
import pytest

from models.evaluation.ensemble import measure_blend, measure_ensemble
from models.probabilities import log_loss, out_of_fold_prior
from models.stacking.blend import fit_blend
from models.stacking.search import SearchResult
from models.stacking.table import Table
from tests.models.conftest import QUICK, widened

FOUND = SearchResult(QUICK, {0: (1.0, 3.0, 2.0), 1: (2.0, 1.0, 2.0)}, best=1, finished=2, pruned=3)


def test_the_prior_of_a_fold_comes_from_the_others() -> None:
    labels, folds = np.array([0, 0, 2, 2, 2, 2]), np.array([0, 0, 1, 1, 2, 2])
    stated = out_of_fold_prior(labels, folds)
    assert stated[0].tolist() == [0, 0, 1]
    assert stated[2].tolist() == [0.25, 0.25, 0.5]


def test_a_blend_is_measured_before_and_after_calibration(data: Table) -> None:
    _, prediction = fit_blend(data, QUICK, seed=0)
    measured = measure_blend(prediction, data, 0)
    assert measured["gain_over_prior"]["low"] > 0
    assert measured["swap_asymmetry_one_order"] > 0
    before, after = (measured[f"{when}_calibration"]["log_loss"] for when in ("before", "after"))
    assert before["value"] == log_loss(prediction.probabilities, data.labels) != after["value"]


def test_a_signal_that_tells_adds_and_one_of_noise_does_not(data: Table) -> None:
    noise = np.random.default_rng(0).normal(size=(2, len(data.labels)))
    table = widened(data, {"noise_0": noise[0], "noise_1": noise[1]})
    signals = {"told": data.columns, "noise": table.columns[len(data.columns) :]}
    _, prediction = fit_blend(table, QUICK, seed=0)
    steps: list[int] = []
    measured = measure_ensemble(
        table,
        signals,
        prediction,
        FOUND,
        0,
        other_foldings=1,
        on_step=lambda done, what: steps.append(done),
    )
    alone = {
        name: each["after_calibration"]["log_loss"] for name, each in measured["signals"].items()
    }
    assert alone["told"]["high"] < alone["noise"]["low"]
    gains = {name: each["gain"] for name, each in measured["without"].items()}
    assert gains["told"]["low"] > 0 >= gains["noise"]["low"]
    assert steps == [0, 1, 2, 3]
    assert set(measured["members"]) == {"trees", "kernel"}
    search = measured["search"]
    assert (search["trials"], search["pruned"], search["best_trial"]) == (5, 3, 1)
    # Folds shaped the columns of a signal that learned, so no other folding is honest.
    assert search["log_loss_on_other_foldings"] == {}


def test_other_foldings_give_other_but_similar_losses(data: Table) -> None:
    _, prediction = fit_blend(data, QUICK, seed=0)
    measured = measure_ensemble(
        data, {"text": data.columns}, prediction, FOUND, 0, other_foldings=2
    )
    other = list(measured["search"]["log_loss_on_other_foldings"].values())
    own = measured["ensemble"]["after_calibration"]["log_loss"]["value"]
    assert len({own, *other}) == 3
    assert max(own, *other) - min(own, *other) < 0.1
    assert measured["without"] == {}


def test_with_many_battles_signals_are_measured_on_some_folds_and_as_on_all(
    data: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = {name: [column] for name, column in zip("xy", data.columns, strict=True)}
    _, prediction = fit_blend(data, QUICK, seed=0)
    whole = measure_ensemble(data, signals, prediction, FOUND, 0, other_foldings=0)
    monkeypatch.setattr("models.evaluation.ensemble.ENOUGH_BATTLES", 1)
    some = measure_ensemble(data, signals, prediction, FOUND, 0, other_foldings=0)
    assert whole["signals_measured_on"] == len(data.labels)
    assert some["signals_measured_on"] == int((data.folds < 2).sum())
    assert some["ensemble"] == whole["ensemble"]
    for name in signals:
        few, many = (measured["without"][name]["gain"] for measured in (some, whole))
        assert few["low"] - 0.05 < many["value"] < few["high"] + 0.05
        assert few["high"] - few["low"] > many["high"] - many["low"]


def test_no_signal_is_measured_once_the_time_is_over(data: Table) -> None:
    signals = {name: [column] for name, column in zip("xy", data.columns, strict=True)}
    _, prediction = fit_blend(data, QUICK, seed=0, repeats=3, deadline=0.0)
    assert prediction.trees.repeats == 1
    measured = measure_ensemble(data, signals, prediction, FOUND, 0, other_foldings=0, deadline=0.0)
    assert measured["signals"] == measured["without"] == {}
    assert measured["ensemble"]["after_calibration"]["log_loss"]["value"] > 0
