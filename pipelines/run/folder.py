"""Where each result of a run lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class _At:
    """A path inside a run folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunFolder, owner: type[RunFolder]) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Examples
    --------
    >>> run = RunFolder(Path("runs/x"))
    >>> str(run.folds), str(run.signal("text"))
    ('runs/x/folds.parquet', 'runs/x/signals/text.parquet')
    """

    path: Path

    config = _At("config.toml")
    """The settings as resolved, in the form that ``--config`` reads."""
    manifest = _At("manifest.json")
    """Keys, checksums, versions and timings of the stages."""
    battles = _At("battles.parquet")
    """The training battles in the canonical columns."""
    extra = _At("extra.parquet")
    """The extra battles, with weight, fold and whether ties were possible."""
    folds = _At("folds.parquet")
    """``id``, ``fold``, ``group`` and ``label`` of every training battle."""
    kernel = _At("fitted/kernel.safetensors")
    """What the kernel says out of fold."""
    journal = _At("study.journal")
    """Optuna's study."""
    search = _At("search.json")
    """What the search found."""
    members = _At("members.parquet")
    """Raw out-of-fold predictions of the blend's members, in both orders."""
    out_of_fold = _At("oof.parquet")
    """Calibrated out-of-fold probabilities."""
    metrics = _At("metrics.json")
    """Every reported metric."""
    bundle = _At("bundle")
    """What predicts."""
    learning_curve = _At("learning_curve.json")
    """Loss by training battles, with its power law."""
    report = _At("report")
    """The page, and its figures."""

    def signal(self, name: str) -> Path:
        """Return the file of a signal's columns, out of fold where it learns."""
        return self.path / "signals" / f"{name}.parquet"

    def extra_signal(self, name: str) -> Path:
        """Return the file of the same columns of the extra battles."""
        return self.path / "signals" / "extra" / f"{name}.parquet"

    def fitted(self, name: str) -> Path:
        """Return the folder of a fitted signal or member, a folder a fold."""
        return self.path / "fitted" / name
