"""What a stage writes is what the next one reads."""

from pathlib import Path

import numpy as np
import pytest

from featlab.signals.state import State, load_state, save_state
from models.stacking.kernel import fit_kernel
from pipelines.run.stages.kernel import make_kernel, read_kernel, read_kernel_out_of_fold
from pipelines.run.training import TableFiles
from tests.models.conftest import make_data
from tests.models.stacking.test_trees import with_extra


def test_views_are_saved_as_the_numbers_they_show(tmp_path: Path) -> None:
    whole = np.arange(12.0).reshape(4, 3)
    save_state(State({"column": whole[:, 2], "turned": whole.T}), tmp_path, "x")
    loaded = load_state(tmp_path, "x").arrays
    assert np.array_equal(loaded["column"], whole[:, 2])
    assert np.array_equal(loaded["turned"], whole.T)


def test_the_kernel_of_a_run_is_read_as_it_was_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = with_extra(make_data(120), tie_known=False)
    monkeypatch.setattr("pipelines.run.stages.kernel.read_table", lambda *_: table)
    fitted, predicted = tmp_path / "fitted", tmp_path / "kernel.safetensors"
    make_kernel(table=TableFiles, fitted=fitted, predicted=predicted, signals={}, seed=0)
    kernel, expected = fit_kernel(table, 0)
    found = read_kernel_out_of_fold(predicted)
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert found.hidden_ties.keys() == expected.hidden_ties.keys()
    for fold, chances in expected.hidden_ties.items():
        assert np.array_equal(found.hidden_ties[fold], chances)
    assert np.array_equal(read_kernel(fitted).predict(table.frame), kernel.predict(table.frame))
