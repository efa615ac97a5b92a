"""The table of small inputs: counted by kind at the end of the suite's output."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pipelines.features import main as compute_features
from pipelines.run.settings import FeatureSettings, TrainSettings
from pipelines.train_ensemble import main as train

CASES = "FEATLAB_TEST_CASES"

_outcomes: Counter[tuple[str, str]] = Counter()


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small inputs, named by an environment variable."""
    folder = os.environ.get(CASES)
    if not folder:
        pytest.skip(f"{CASES} does not name a folder with small inputs")
    return Path(folder)


def trained(run: Path, data: Path, **settings: object) -> Path:
    """Train the smallest ensemble there is."""
    smallest = {"signals": ["text"], "families": ["verbosity"], "trials": 1, "repeats": 1}
    train(
        TrainSettings.model_validate(
            {"run": run, "data": data, "folds": 3, "fold_repeats": 0, **smallest, **settings}
        )
    )
    return run


def features_of(run: Path, data: Path) -> None:
    """Compute one family of features."""
    compute_features(FeatureSettings(run=run, data=data, families=["newlines"]))


@pytest.fixture(scope="session")
def arena_run(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on battles of the competition's form."""
    return trained(tmp_path_factory.mktemp("arena"), cases / "train_outcome_1.00")


@pytest.fixture(scope="session")
def wsdm_run(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on battles of two outcomes."""
    return trained(tmp_path_factory.mktemp("wsdm"), cases / "wsdm_train")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what became of each input."""
    if "tests/cases/" in report.nodeid and (report.when == "call" or report.outcome != "passed"):
        kind = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_")
        _outcomes[kind, report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _outcomes:
        return
    terminalreporter.section("small inputs")
    shown = ("passed", "failed", "skipped")
    terminalreporter.write_line(f"{'kind':<54}" + "".join(f"{name:>9}" for name in shown))
    for kind in dict.fromkeys(kind for kind, _ in _outcomes):
        counts = "".join(f"{_outcomes[kind, name]:>9}" for name in shown)
        terminalreporter.write_line(f"{kind.replace('_', ' '):<54}{counts}")
    totals = (sum(n for (_, of), n in _outcomes.items() if of == name) for name in shown)
    terminalreporter.write_line(f"{'all':<54}" + "".join(f"{total:>9}" for total in totals))
