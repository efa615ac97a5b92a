"""The command: reads a finished run, writes its curve, and says what it left out."""

from pathlib import Path

import polars as pl
import pytest

from featlab.files import read_json
from pipelines.learning_curve import main
from pipelines.run.console import run_command
from pipelines.run.settings import LearningCurveSettings
from tests.models.remembering import Remembering
from tests.pipelines.conftest import train

SHARES = ["--shares", "0.4", "0.7", "1", "--draws", "1"]
OWN = Remembering.__module__


def curve(run: Path, *more: str) -> None:
    run_command(main, LearningCurveSettings, "curve", ["--run", str(run), *SHARES, *more])


@pytest.fixture
def run(generated: Path, tmp_path: Path) -> Path:
    """A run of the text signal, one that learns, and one that needs an encoder."""
    own = (f"{OWN}:Remembering", f"{OWN}:Reading")
    train(generated, tmp_path / "run", "--signals", "text", *own, "--families", "verbosity")
    return tmp_path / "run"


def test_the_curve_is_written_and_names_its_signals(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    with pytest.raises(SystemExit):
        curve(run)
    assert f"--trust {OWN}" in capsys.readouterr().err
    curve(run, "--trust", OWN)
    printed = capsys.readouterr()
    found = read_json(run / "learning_curve.json")
    assert found["signals"] == ["text", "remembering"]
    assert found["left_out"] == ["reading"]
    assert "left out, since they take hours a point: reading" in printed.err
    assert "text, remembering" in printed.out
    assert "extrapolation" in printed.out
    assert [point["share"] for point in found["points"]] == [0.4, 0.7, 1.0]
    assert found["points"][-1]["n"] == 160
    assert found["power_law"]["extrapolated_n"] == 57_477
    assert all(point["low"] <= point["log_loss"] <= point["high"] for point in found["points"])
    table = pl.read_csv(run / "learning_curve.csv")
    assert table["kind"].to_list() == ["measured"] * 3 + ["extrapolated"]
    assert table["log_loss"][-1] == pytest.approx(found["power_law"]["extrapolated"])
    assert (run / "metrics.json").read_bytes() == before
    curve(run, "--trust", OWN)
    assert "learning_curve: unchanged, nothing recomputed" in capsys.readouterr().err


def test_an_unfinished_run_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        curve(tmp_path)
    assert "is no finished run (no " in capsys.readouterr().err
