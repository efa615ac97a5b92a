"""A feature and a signal of one's own, from a module outside the project to a submission."""

import sys
from pathlib import Path

import polars as pl
import pytest

from models.stacking.bundle import read_manifest
from pipelines.run.console import run_command
from pipelines.run.settings import SubmitSettings
from pipelines.submit import main as submit
from tests.pipelines.conftest import train

OWN = '''\
import polars as pl
from featlab import Feature
from featlab.features import PAIRINGS
from featlab.signals import Cost, State
from featlab.signals.text import TextSignal

CAPITALS = Feature("capitals", lambda text: text.count("[A-Z]"), pl.UInt32, "shouting",
                   "ASCII capital letters", pairings=PAIRINGS)

class Shouting(TextSignal):
    """Capital letters, as far as they tell who won the training battles."""
    name, cost = "shouting", Cost.ONE_THREAD
    def __init__(self, weight=0.0, families=None):
        super().__init__([CAPITALS])
        self.weight = weight
    def fit(self, prepared, outcomes, rows):
        won = outcomes.shares[rows] @ [1, -1, 0]
        self.weight = float((prepared["capitals__share"].to_numpy()[rows] * won).mean())
        return self
    def transform(self, prepared, rows=None):
        return super().transform(prepared, rows).select(pl.all() * self.weight)
    def state(self):
        return State(values={"weight": self.weight})
    @classmethod
    def from_state(cls, state):
        return cls(state.values["weight"])
'''


def test_25_lines_add_a_feature_and_a_signal_that_submit_only_where_they_are_trusted(
    generated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len([line for line in OWN.splitlines() if line]) <= 25
    (tmp_path / "own_signal.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    run, out = tmp_path / "run", tmp_path / "out.csv"
    arguments = ["--signals", "text", "own_signal:Shouting", "--families", "newlines"]
    train(generated, run, *arguments)
    signals = read_manifest(run / "bundle")["signals"]
    assert signals == {"text": "text", "shouting": "own_signal:Shouting"}
    made = pl.read_parquet(run / "signals" / "shouting.parquet")
    assert made["id"].equals(pl.read_csv(generated / "train.csv", infer_schema=False)["id"])
    assert made["capitals__difference"].std() > 0

    asked = ["--run", str(run), "--test", str(generated / "test.csv"), "--out", str(out)]
    with pytest.raises(SystemExit) as ended:
        run_command(submit, SubmitSettings, "submit", asked)
    assert ended.value.code == 2
    assert "--trust own_signal" in capsys.readouterr().err
    assert not out.exists()
    run_command(submit, SubmitSettings, "submit", [*asked, "--trust", "own_signal"])
    assert len(pl.read_csv(out)) == 60

    # Its own code counts: as a comment changes nothing, another statement trains it anew.
    for change, said in (("# Loud.\n", "unchanged"), ("LOUD = True\n", "done in")):
        with (tmp_path / "own_signal.py").open("a") as source:
            source.write(change)
        capsys.readouterr()
        train(generated, run, *arguments)
        printed = capsys.readouterr().err
        assert f"shouting: {said}" in printed
        assert "text: unchanged" in printed
        assert "kernel: unchanged" in printed


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("class Own(TextSignal):\n    name = 'own'", "both make the column prompt__"),
        ("class Own(TextSignal):\n    name = 'kernel'", "is called kernel"),
        ("class Own:\n    name = 'own'", "no subclass of featlab.Signal"),
        ("", "cannot be imported"),
    ],
)
def test_a_signal_that_fits_no_ensemble_is_refused_before_anything_is_written(
    generated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    complaint: str,
) -> None:
    module = tmp_path / "unfit_signal.py"
    module.write_text(f"from featlab.signals.text import TextSignal\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "unfit_signal", raising=False)
    with pytest.raises(SystemExit) as ended:
        train(generated, tmp_path / "run", "--signals", "unfit_signal:Own")
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
