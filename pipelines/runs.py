"""List all run folders, the best first: ``python -m pipelines.runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from featlab.errors import ConfigError, FeatlabError
from models.checked_json import checked_json
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.run import read_manifest
from pipelines.run.settings import RunsSettings

Row = tuple[float, str]


def main(settings: RunsSettings) -> None:
    """Print a line a run: its loss, where it is finished, and what it was trained on and with."""
    folders = sorted(path.parent for path in settings.root.glob("**/manifest.json"))
    runs = [RunFolder(path) for path in folders if (path / "config.toml").is_file()]
    if not runs:
        raise ConfigError(f"there are no runs in {settings.root}; make demo trains one")
    print(f"{'run':<28}log loss  95 % interval     battles  signals")
    for _, line in sorted(describe(run, settings.root) for run in runs):
        print(line)


def describe(run: RunFolder, root: Path) -> Row:
    """Return the loss of a run, infinite where it is not known, and its line."""
    name = str(run.path.relative_to(root))
    stages = read_manifest(run)["stages"]
    if "metrics" not in stages or not run.metrics.is_file():
        done = ", ".join(stages) or "nothing"
        return float("inf"), f"{name:<28}not finished; made so far: {done}"
    try:
        metrics = checked_json(run.metrics, _METRICS)["ensemble"]["after_calibration"]
        signals = checked_json(run.bundle / "manifest.json", _BUNDLE)["signals"]
    except (FeatlabError, OSError) as error:
        return float("inf"), f"{name:<28}damaged ({error})"
    loss = metrics["log_loss"]
    interval = f"{loss['low']:.4f} to {loss['high']:.4f}"
    line = f"{name:<28}{loss['value']:.4f}    {interval}  {metrics['battles']:>8,}  "
    return loss["value"], line + ", ".join(signals)


class _Loss(TypedDict):
    value: float
    low: float
    high: float


class _Measured(TypedDict):
    log_loss: _Loss
    battles: int


class _Ensemble(TypedDict):
    after_calibration: _Measured


class _Metrics(TypedDict):
    ensemble: _Ensemble


class _Bundle(TypedDict):
    signals: dict[str, Any]


_METRICS, _BUNDLE = TypeAdapter(_Metrics), TypeAdapter(_Bundle)


if __name__ == "__main__":
    run_command(main, RunsSettings, "python -m pipelines.runs")
