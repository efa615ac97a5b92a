"""List all run folders, the best first: ``python -m pipelines.runs``."""

from __future__ import annotations

from pathlib import Path

from featlab.errors import ConfigError
from featlab.files import read_json
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
    metrics = read_json(run.metrics)["ensemble"]["after_calibration"]
    loss = metrics["log_loss"]
    interval = f"{loss['low']:.4f} to {loss['high']:.4f}"
    return loss["value"], (
        f"{name:<28}{loss['value']:.4f}    {interval}  {metrics['battles']:>8,}  "
        + ", ".join(read_json(run.bundle / "manifest.json")["signals"])
    )


if __name__ == "__main__":
    run_command(main, RunsSettings, "python -m pipelines.runs")
