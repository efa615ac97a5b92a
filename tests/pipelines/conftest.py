from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from featlab.generated import write_battles
from pipelines.run.console import run_command
from pipelines.run.settings import SubmitSettings, TrainSettings
from pipelines.submit import main as submit
from pipelines.train_ensemble import main

ARGUMENTS = ["--preset", "fast", "--folds", "3", "--trials", "3", "--repeats", "1"]


def train(data: Path, run: Path, *more: str) -> None:
    """Train as the command line would."""
    arguments = ["--data", str(data), "--run", str(run), *ARGUMENTS, *more]
    run_command(main, TrainSettings, "train", arguments)


def predict(run: Path, test: Path, out: Path, *more: str) -> None:
    """Submit as the command line would."""
    arguments = ["--run", str(run), "--test", str(test), "--out", str(out), *more]
    run_command(submit, SubmitSettings, "submit", arguments)


def asymmetry(run: Path, test: Path, folder: Path) -> float:
    """How far the submissions of a test file and of the exchanged one are apart, at most."""
    sides = {"response_a": "response_b", "response_b": "response_a"}
    pl.read_csv(test).rename(sides).write_csv(folder / "exchanged.csv")
    predict(run, test, folder / "given_out.csv")
    predict(run, folder / "exchanged.csv", folder / "exchanged_out.csv")
    given, other = (
        pl.read_csv(folder / f"{name}_out.csv").select(PROBABILITIES).to_numpy()
        for name in ("given", "exchanged")
    )
    return float(np.abs(given - other[:, [1, 0, 2]]).max())


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' vectors out of the user's embedding store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATLAB_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 240 training and 60 test battles."""
    folder = tmp_path_factory.mktemp("generated")
    write_battles(folder, 240, 60, seed=5)
    return folder


@pytest.fixture(scope="session")
def trained(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder trained on the generated battles."""
    run = tmp_path_factory.mktemp("runs") / "trained"
    train(generated, run)
    return run
