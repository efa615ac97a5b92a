"""``make test-kaggle``: a kit at work where there is no network. Downloads wheels, takes minutes.

Wheels come from the package index that pip is set up for. Installing and
predicting then happen in a network namespace without a route, in a virtual
environment that holds nothing, with an empty home folder.
"""

from __future__ import annotations

import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from featlab.generated import write_battles
from models.stacking.submission import COLUMNS
from pipelines import kaggle_kit
from pipelines.kaggle.kit import HIDDEN_ROWS
from pipelines.kaggle_kit import KaggleKitSettings
from pipelines.run.console import run_command
from tests.pipelines.conftest import train

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
WITHOUT_A_ROUTE = ["unshare", "--user", "--map-root-user", "--net"]
REACH_OUT = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skip where namespaces are not allowed; else be sure that nothing gets out of one."""
    try:
        subprocess.run([*WITHOUT_A_ROUTE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine gives no network namespaces")
    result = subprocess.run(
        [*WITHOUT_A_ROUTE, sys.executable, "-c", REACH_OUT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Network is unreachable" in result.stderr


def make(run: Path, out: Path, *more: str) -> None:
    arguments = ["--run", str(run), "--out", str(out), "--owner", "someone"]
    run_command(
        kaggle_kit.main, KaggleKitSettings, "kit", [*arguments, "--python-version", PYTHON, *more]
    )


def submit(python: Path, folder: Path, test: Path) -> pl.DataFrame:
    """Lay the kit and the test file out as Kaggle does, and run the script cut off."""
    competition = folder / "input" / "llm-classification-finetuning"
    competition.mkdir(parents=True)
    (competition / "test.csv").symlink_to(test)
    (folder / "kit" / "dataset").rename(folder / "input" / "featlab-kit")
    (folder / "home").mkdir()
    start = time.monotonic()
    result = subprocess.run(
        [
            *(*WITHOUT_A_ROUTE, str(python), str(folder / "kit" / "notebook" / "submit.py")),
            *("--input", str(folder / "input"), "--out", str(folder / "submission.csv")),
        ],
        cwd=folder,
        env={"HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    print(f"\n{result.stdout.strip()}\nin all {time.monotonic() - start:.0f} s")
    return pl.read_csv(folder / "submission.csv")


def check(submission: pl.DataFrame, test: Path) -> None:
    assert tuple(submission.columns) == COLUMNS
    assert submission["id"].to_list() == pl.read_csv(test)["id"].to_list()
    values = submission.select(PROBABILITIES).to_numpy()
    assert np.abs(values.sum(axis=1) - 1).max() < 1e-9
    assert (values > 0).all()
    assert values.std(axis=0).min() > 0.001


def test_a_bare_environment_predicts_the_hidden_test_set(trained: Path, tmp_path: Path) -> None:
    write_battles(tmp_path / "hidden", 1, HIDDEN_ROWS, seed=7)
    test = tmp_path / "hidden" / "test.csv"
    assert not {"model_a", "model_b"} & set(pl.read_csv(test, n_rows=1).columns)
    make(trained, tmp_path / "kit", "--all-wheels", "--sample", str(test))
    venv.create(tmp_path / "bare", with_pip=True)
    submission = submit(tmp_path / "bare" / "bin" / "python", tmp_path, test)
    assert len(submission) == HIDDEN_ROWS
    check(submission, test)


def test_a_frozen_encoder_is_read_from_the_kit(generated: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    train(generated, tmp_path / "run", "--preset", "cpu", "--signals", '["embedding"]')
    make(tmp_path / "run", tmp_path / "kit")
    # torch is the image's; here it is that of the environment the tests run in.
    submission = submit(Path(sys.executable), tmp_path, generated / "test.csv")
    check(submission, generated / "test.csv")
