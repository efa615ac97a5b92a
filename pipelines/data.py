"""Fetch the training battles: ``python -m pipelines.data``.

From Kaggle where its client finds credentials, else from the owner's release on
the Hugging Face hub. What comes is checked before it gets its name: columns,
ids, outcomes, the number of battles, and the checksum where one is known.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from featlab.battles import ARENA, check_battles
from featlab.errors import FeatlabError
from featlab.files import atomic_path, file_fingerprint
from featlab.progress import note
from pipelines.download.errors import DownloadError, writable
from pipelines.download.hub import fetch_from_hub
from pipelines.download.kaggle import fetch_from_kaggle, has_credentials
from pipelines.run.console import run_command
from pipelines.run.settings import DataCommandSettings

COMPETITION_BYTES = 184_175_071


def check_training_file(path: Path, rows: int) -> None:
    """Refuse a file of other columns, of broken rows, or of another number of battles."""
    found = check_battles(path, ARENA, require_outcome=True)
    if found != rows:
        raise DownloadError(f"{path} holds {found:,} battles, not {rows:,}; it was not taken")


def from_hub(settings: DataCommandSettings) -> Path:
    """Fetch the release's table into the data folder and return where it lies."""
    part = fetch_from_hub(settings.release, settings.data)
    try:
        check_training_file(part, settings.rows)
    except FeatlabError:
        part.unlink()
        raise
    # A release that differs from Kaggle's file in form alone is as good, and said to be so.
    same = settings.sha256 and file_fingerprint(part).startswith(settings.sha256)
    note("byte for byte the competition's train.csv" if same else "the release's own form of it")
    return part.replace(settings.data / f"train{part.suffix}")


def from_kaggle(settings: DataCommandSettings) -> Path:
    """Fetch the competition's files into the data folder and return where train.csv lies."""
    cached = fetch_from_kaggle(settings.competition, "train.csv")
    found = file_fingerprint(cached)
    if not found.startswith(settings.sha256):
        size = cached.stat().st_size
        cached.unlink()
        raise DownloadError(
            f"Kaggle's train.csv has sha256 {found[:8]} and {size:,} bytes, known are "
            f"{settings.sha256[:8]} and {COMPETITION_BYTES:,}; it was removed, run the same "
            "command again, or with --sha256 '' if Kaggle has replaced the file"
        )
    check_training_file(cached, settings.rows)
    # Training battles last: they say that all is there.
    for source in (fetch_from_kaggle(settings.competition, "test.csv"), cached):
        target = settings.data / source.name
        with writable(settings.data, source.stat().st_size), atomic_path(target) as path:
            shutil.copyfile(source, path)
    return target


def main(settings: DataCommandSettings) -> None:
    """Download, check, and put the file in place, unless it is there already."""
    for target in (settings.data / "train.csv", settings.data / "train.parquet"):
        if target.is_file():
            count = check_battles(target, require_outcome=True)
            note(f"{target} is there already: {count:,} battles")
            return
    source = settings.source
    if source == "auto":
        source = "kaggle" if has_credentials() else "hub"
        note(f"source: {source} ({'with' if source == 'kaggle' else 'no'} credentials for Kaggle)")
    target = from_kaggle(settings) if source == "kaggle" else from_hub(settings)
    note(f"{settings.rows:,} battles in {target}")


if __name__ == "__main__":
    run_command(main, DataCommandSettings, "python -m pipelines.data")
