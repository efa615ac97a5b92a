from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featlab.generated import write_battles
from pipelines.run.console import run_command
from pipelines.run.settings import TrainSettings
from pipelines.train_ensemble import main as train_ensemble
from tests.harden.kills import QUICK

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 training and 30 test battles."""
    folder = tmp_path_factory.mktemp("data")
    write_battles(folder, 90, 30, seed=5)
    return folder


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder; copy it to change it."""
    run = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["--data", str(data), "--run", str(run), *QUICK]
    run_command(train_ensemble, TrainSettings, "train", arguments)
    return run


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a module as a person does."""

    def module(*arguments: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-m", *map(str, arguments)],
            **{"cwd": ROOT, "capture_output": True, "text": True, "check": False, **more},
        )

    return module
