"""One report, and what it is drawn from."""

from pathlib import Path

import pytest

from pipelines.report.__main__ import (
    FIGURES,
    main,
)
from pipelines.report.figure import Plot
from pipelines.report.run_data import RunData, load_run
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import ReportSettings

# No curve was measured, and on 240 battles the tuned trees split on nothing.
LEFT_OUT = {"learning_curve", "partial_dependence"}
# Drawn with --against only.
COMPARED = {"against"}


@pytest.fixture(scope="module")
def report(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report folder of the trained run."""
    folder = tmp_path_factory.mktemp("report")
    run_command(main, ReportSettings, "report", ["--run", str(trained), "--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def data(trained: Path) -> RunData:
    return load_run(RunFolder(trained))


@pytest.fixture(scope="module")
def plots(data: RunData) -> dict[str, Plot]:
    """What each figure shows of the trained run."""
    return {
        figure.name: figure.plot(data)
        for figure in FIGURES
        if figure.name not in LEFT_OUT | COMPARED
    }
