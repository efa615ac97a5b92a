"""The command: reads a finished run, writes its curve, and says what it left out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pipelines.learned_signals import signal_maker

from featlab.files import read_json, write_json
from featlab.generated import write_battles
from featlab.signals.lexical.signal import LexicalSignal
from featlab.signals.sparse_text import SparseText
from models.stacking.bundle import MANIFEST
from pipelines.learning_curve import main
from pipelines.run.console import run_command
from pipelines.run.settings import LearningCurveSettings

WORDS = SparseText("word", 1, 1, bits=10)
SHARES = ["--shares", "0.4", "--shares", "0.7", "--shares", "1", "--draws", "1"]


def curve(run: Path, *more: str) -> None:
    run_command(main, LearningCurveSettings, "curve", ["--run", str(run), *SHARES, *more])


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that had a lexical signal, cut down for speed, and says it had an encoder too."""
    copied = tmp_path / "run"
    shutil.copytree(trained, copied)
    manifest = read_json(copied / "bundle" / MANIFEST)
    manifest["signals"] = {"lexical": {}, "encoder": {}}
    write_json(copied / "bundle" / MANIFEST, manifest)

    def small(name: str, *rest: Any) -> Callable[[int], LexicalSignal]:
        assert isinstance(signal_maker(name, *rest)(0), LexicalSignal)
        one = (1.0,)
        return lambda fold: LexicalSignal((WORDS,), None, one, one, one, inner_folds=2, seed=fold)

    monkeypatch.setattr("pipelines.learning_curve.signal_maker", small)
    return copied


def test_the_curve_is_written_and_names_its_signals(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    curve(run)
    printed = capsys.readouterr()
    found = json.loads((run / "learning_curve.json").read_text(encoding="utf-8"))
    assert found["signals"] == ["text", "lexical"]
    assert found["left_out"] == ["encoder"]
    assert "left out, since they take hours a point: encoder" in printed.err
    assert "text, lexical" in printed.out
    assert "extrapolation" in printed.out
    assert [point["share"] for point in found["points"]] == [0.4, 0.7, 1.0]
    assert found["points"][-1]["n"] == 160
    assert found["power_law"]["extrapolated_n"] == 57_477
    assert all(point["low"] <= point["log_loss"] <= point["high"] for point in found["points"])
    table = pl.read_csv(run / "learning_curve.csv")
    assert table["kind"].to_list() == ["measured"] * 3 + ["extrapolated"]
    assert table["log_loss"][-1] == pytest.approx(found["power_law"]["extrapolated"])
    assert (run / "metrics.json").read_bytes() == before
    curve(run)
    assert "learning_curve: unchanged, nothing recomputed" in capsys.readouterr().err


def test_an_unfinished_run_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        curve(tmp_path)
    assert "is no finished run (no config.toml)" in capsys.readouterr().err


def test_other_battles_than_the_runs_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_battles(tmp_path / "other", 90, 6, seed=4)
    with pytest.raises(SystemExit, match="2"):
        curve(run, "--data", str(tmp_path / "other"))
    assert "other battles" in capsys.readouterr().err
