from pathlib import Path

import pytest
from optuna.trial import FixedTrial, TrialState

import models.stacking.search
from models.stacking.search import (
    COARSE,
    FINE,
    SearchResult,
    open_study,
    search,
    selection_optimism,
    starting_point,
    suggest,
)
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters
from tests.models.conftest import make_data


def test_an_interrupted_search_ends_where_an_uninterrupted_one_ends(
    data: Table, tmp_path: Path
) -> None:
    whole = search(data, open_study(tmp_path / "whole.journal", "s"), 9, seed=3)

    search(data, open_study(tmp_path / "parts.journal", "s"), 4, seed=3)
    interrupted = open_study(tmp_path / "parts.journal", "s")
    interrupted.ask()  # a trial that a crash leaves running
    again = open_study(tmp_path / "parts.journal", "s")
    parts = search(data, again, 9, seed=3)
    assert not again.get_trials(states=(TrialState.RUNNING,))

    assert parts.parameters == whole.parameters
    assert (parts.best, parts.fold_losses) == (whole.best, whole.fold_losses)


def test_the_first_trial_is_the_default_even_after_an_interruption(
    data: Table, tmp_path: Path
) -> None:
    study = open_study(tmp_path / "study.journal", "s")
    study.enqueue_trial(starting_point(FINE))  # as a crash before the first trial leaves it
    search(data, open_study(tmp_path / "study.journal", "s"), 2, seed=0)
    first, second = study.get_trials()
    assert first.params == starting_point(FINE)
    assert second.params != first.params
    default = BoostingParameters()
    assert first.params["num_leaves"] == default.num_leaves
    assert first.params["lambda_l2"] == default.lambda_l2


def test_any_number_of_threads_ends_in_the_same_study(
    data: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.stacking.search, "COARSE_FROM", 0)  # prunes most
    studies = []
    for threads in ("1", "4"):
        monkeypatch.setenv("FEATLAB_THREADS", threads)
        studies.append(open_study(tmp_path / f"{threads}.journal", "s"))
        search(data, studies[-1], 14, seed=2)
    one, four = (
        [(trial.state, trial.params, trial.intermediate_values) for trial in study.trials]
        for study in studies
    )
    assert one == four
    assert any(state is TrialState.PRUNED for state, _, _ in one)


def test_a_finished_study_runs_nothing_again(data: Table, tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", "s")
    first = search(data, study, 3, seed=0)
    calls: list[int] = []
    second = search(data, study, 3, seed=0, on_trial=lambda done, best: calls.append(done))
    assert calls == []
    assert second == first


def test_progress_counts_every_trial(data: Table, tmp_path: Path) -> None:
    calls: list[int] = []
    result = search(
        data,
        open_study(tmp_path / "study.journal", "s"),
        4,
        seed=0,
        on_trial=lambda done, best: calls.append(done),
    )
    assert calls == [1, 2, 3, 4]
    assert result.finished + result.pruned == 4
    assert result.best in result.fold_losses


def test_optimism_is_zero_where_one_trial_is_best_everywhere_and_large_where_luck_chose() -> None:
    def result(losses: dict[int, tuple[float, ...]]) -> SearchResult:
        return SearchResult(BoostingParameters(), losses, 0, len(losses), 0)

    assert selection_optimism(result({0: (1.0, 1.0), 1: (2.0, 2.0)})).optimism == 0
    lucky = selection_optimism(result({0: (1.0, 2.0), 1: (2.0, 1.0), 2: (1.4, 1.4)}))
    assert lucky.optimism == pytest.approx(0.6)


def test_a_search_on_many_battles_is_coarse_and_finds_what_a_fine_one_finds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = make_data(600)
    fine = search(data, open_study(tmp_path / "fine.journal", "s"), 8, seed=1)
    monkeypatch.setattr(models.stacking.search, "COARSE_FROM", 600)
    study = open_study(tmp_path / "coarse.journal", "s")
    coarse = search(data, study, 8, seed=1)

    slowest, fastest = COARSE.learning_rates
    assert all(slowest <= trial.params["learning_rate"] <= fastest for trial in study.trials)
    best = COARSE.slower * coarse.parameters.learning_rate
    assert best == pytest.approx(study.best_params["learning_rate"])
    assert coarse.parameters.patience == fine.parameters.patience > COARSE.patience
    best = [min(map(sum, result.fold_losses.values())) / 3 for result in (fine, coarse)]
    assert best[1] == pytest.approx(best[0], abs=0.03)
    # Of another plan, and yet no warning that its trials are out of range.
    assert len(open_study(tmp_path / "coarse.journal", "s").trials) == 8


def test_without_time_the_first_trial_is_the_only_one(data: Table, tmp_path: Path) -> None:
    found = search(data, open_study(tmp_path / "study.journal", "s"), 9, seed=0, deadline=0.0)
    assert (found.finished, found.pruned, found.parameters) == (
        *(1, 0),
        suggest(FixedTrial(starting_point(FINE))),
    )
