"""A finished run, read back: its settings, and the table that its members learned from."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from featlab.columns import Column
from featlab.errors import ConfigError
from featlab.signals import Signal, find_signal, load_signal
from models.stacking.bundle import read_manifest as read_bundle_manifest
from models.stacking.table import Table, stacked_columns
from pipelines.run.folder import RunFolder
from pipelines.run.run import require_finished
from pipelines.run.settings import TrainSettings
from pipelines.run.training import battle_files, read_table, table_files


@dataclass(frozen=True)
class FinishedRun:
    """What every command that looks back at a run needs.

    Parameters
    ----------
    folder : RunFolder
    settings : TrainSettings
        As the run was trained.
    manifest, bundle : dict
        The run's and the bundle's ``manifest.json``.
    kinds : mapping of str to type of Signal
        Signal -> its class, in the order of the table's columns.
    """

    folder: RunFolder
    settings: TrainSettings
    manifest: dict[str, Any] = field(repr=False)
    bundle: dict[str, Any] = field(repr=False)
    kinds: dict[str, type[Signal[Any]]]

    def columns(self, name: str) -> tuple[Column, ...]:
        """Return the columns of a signal that the members see."""
        signal = load_signal(self.kinds[name], self.folder.fitted(name) / "0")
        return stacked_columns(signal.columns())

    def table(self) -> Table:
        """Return the table that the members learned from."""
        training = battle_files(self.folder, extra=bool(self.settings.extra))
        columns = {name: self.columns(name) for name in self.kinds}
        return read_table(table_files(self.folder, training, columns), columns)


def finished_run(folder: RunFolder, trusted: Collection[str] = ()) -> FinishedRun:
    """Return a run whose every stage is made from the present outputs of the others.

    Parameters
    ----------
    folder : RunFolder
    trusted : collection of str
        Modules outside this project whose signals may be imported.

    Raises
    ------
    ConfigError
        When it is not finished, its settings are not readable, or a signal's
        module is not trusted.
    """
    manifest = require_finished(folder, "battles", "folds", "blend", "metrics")
    bundle = read_bundle_manifest(folder.bundle)
    kinds = {name: find_signal(path, trusted) for name, path in bundle["signals"].items()}
    try:
        values = tomllib.loads(folder.config.read_text(encoding="utf-8"))
        settings = TrainSettings(**{**values, "run": folder.path})
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{folder.config} is not as train-ensemble wrote it; train again"
        ) from error
    return FinishedRun(folder, settings, manifest, bundle, kinds)
