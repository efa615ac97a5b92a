"""What trees, kernel and their blend have in common: symmetric, out of fold, reproducible."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from featlab.columns import Kind, parities
from featlab.parity import swap
from models.probabilities import exchanged, log_loss, out_of_fold_prior
from models.stacking.blend import fit_blend
from models.stacking.kernel import fit_kernel
from models.stacking.table import Table
from models.stacking.trees import fit_trees
from tests.models.conftest import QUICK, make_data, other_in_fold, widened

Fit = Callable[[Table, int], tuple[Any, Any]]

pytestmark = pytest.mark.parametrize(
    "fit",
    [
        lambda table, seed: fit_trees(table, QUICK, seed, repeats=2),
        fit_kernel,
        lambda table, seed: fit_blend(table, QUICK, seed),
    ],
    ids=["trees", "kernel", "blend"],
)


def with_vector(count: int = 300) -> Table:
    vector = np.random.default_rng(4).normal(size=(count, 5))
    names = {f"v__{axis}": vector[:, axis] for axis in range(5)}
    return widened(make_data(count), names, Kind.VECTOR)


def test_exchanged_battles_get_exactly_exchanged_probabilities(fit: Fit) -> None:
    table = with_vector()
    member, _ = fit(table, 0)
    given = member.predict(table.frame)
    other = member.predict(swap(table.frame, parities(table.columns)))
    assert np.array_equal(exchanged(other), given)
    assert np.allclose(given.sum(axis=1), 1, atol=1e-12)


def test_it_learns_what_there_is_to_learn(fit: Fit) -> None:
    table = make_data()
    _, predicted = fit(table, 0)
    guess = out_of_fold_prior(table.labels, table.folds)
    assert log_loss(predicted.probabilities, table.labels) < log_loss(guess, table.labels) - 0.1


def test_outcomes_of_a_fold_do_not_reach_its_own_predictions(fit: Fit) -> None:
    table = make_data()
    before, after = (fit(each, 0)[1].probabilities for each in (table, other_in_fold(table, 1)))
    held_out = table.folds == 1
    assert np.array_equal(before[held_out], after[held_out])
    assert not np.array_equal(before[~held_out], after[~held_out])


def test_any_number_of_threads_gives_the_same_numbers(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, found = with_vector(), []
    for threads in ("1", "3"):
        monkeypatch.setenv("FEATLAB_THREADS", threads)
        member, predicted = fit(table, 0)
        found.append((predicted.probabilities, member.predict(table.frame)))
    assert np.array_equal(found[0], found[1])


def test_a_prediction_depends_on_its_own_row_alone(fit: Fit) -> None:
    table = with_vector(900)
    member, _ = fit(table, 0)
    together = member.predict(table.frame)
    for rows in (slice(7, 8), slice(3, 300), slice(255, 400), slice(1, 900), slice(370, 800)):
        assert np.array_equal(together[rows], member.predict(table.frame[rows]))
