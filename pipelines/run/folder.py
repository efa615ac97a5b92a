"""Where each result of a run lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Examples
    --------
    >>> str(RunFolder(Path("runs/x")).signal("text"))
    'runs/x/signals/text.parquet'
    """

    path: Path

    @property
    def config(self) -> Path:
        """The settings as resolved, in the form that ``--config`` reads."""
        return self.path / "config.toml"

    @property
    def manifest(self) -> Path:
        """Keys, checksums, versions and timings of the stages."""
        return self.path / "manifest.json"

    @property
    def battles(self) -> Path:
        """The training battles in the canonical columns."""
        return self.path / "battles.parquet"

    @property
    def extra(self) -> Path:
        """The extra battles, with weight, fold and whether ties were possible."""
        return self.path / "extra.parquet"

    @property
    def folds(self) -> Path:
        """``id``, ``fold``, ``group`` and ``label`` of every training battle."""
        return self.path / "folds.parquet"

    def signal(self, name: str) -> Path:
        """Return the file of a signal's columns, out of fold where it learns."""
        return self.path / "signals" / f"{name}.parquet"

    def extra_signal(self, name: str) -> Path:
        """Return the file of the same columns of the extra battles."""
        return self.path / "signals" / "extra" / f"{name}.parquet"

    def fitted(self, name: str) -> Path:
        """Return the folder of a fitted signal or member, a folder a fold."""
        return self.path / "fitted" / name

    @property
    def kernel(self) -> Path:
        """What the kernel says out of fold."""
        return self.path / "fitted" / "kernel.safetensors"

    @property
    def journal(self) -> Path:
        """Optuna's study."""
        return self.path / "study.journal"

    @property
    def search(self) -> Path:
        """What the search found."""
        return self.path / "search.json"

    @property
    def members(self) -> Path:
        """Raw out-of-fold predictions of the blend's members, in both orders."""
        return self.path / "members.parquet"

    @property
    def out_of_fold(self) -> Path:
        """Calibrated out-of-fold probabilities."""
        return self.path / "oof.parquet"

    @property
    def metrics(self) -> Path:
        """Every reported metric."""
        return self.path / "metrics.json"

    @property
    def bundle(self) -> Path:
        """What predicts."""
        return self.path / "bundle"

    @property
    def learning_curve(self) -> Path:
        """Loss by training battles, with its power law."""
        return self.path / "learning_curve.json"

    @property
    def report(self) -> Path:
        """Figures."""
        return self.path / "report"
