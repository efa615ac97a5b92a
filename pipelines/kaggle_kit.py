"""Pack a run for Kaggle, where there is no network: ``python -m pipelines.kaggle_kit``.

Two folders come out, each with Kaggle's own metadata. ``dataset/`` holds all
that a submission needs: wheels, the source of `models` and `pipelines`, the
bundle and its encoder. ``notebook/`` holds the script that installs from the
dataset and writes submission.csv, with the internet off and the GPU on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from featlab.errors import ConfigError
from featlab.progress import note
from pipelines.kaggle.bundle import encoders_of
from pipelines.kaggle.kit import estimate, write_dataset, write_notebook
from pipelines.kaggle.wheels import write_wheels
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.settings import KaggleKitSettings


def main(settings: KaggleKitSettings) -> None:
    """Make the kit beside its place, and put it there when it is whole."""
    owner = settings.owner or os.environ.get("KAGGLE_USERNAME")
    if not owner:
        raise ConfigError("whose dataset will it be? Give --owner, your name on Kaggle")
    if settings.out.exists() and not (settings.out / "dataset" / "kit.json").is_file():
        raise ConfigError(f"{settings.out} exists and is no kit; choose another folder by --out")
    bundle, python = RunFolder(settings.run).bundle, settings.python_version
    torch = bool(encoders_of(bundle))
    expected = estimate(bundle, settings.sample)
    name, competition = f"{owner}/{settings.name}", settings.competition
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.out.parent, prefix=".kit") as scratch:
        made = Path(scratch) / "kit"
        write_wheels(made / "dataset" / "wheels", python, torch=torch, whole=settings.all_wheels)
        said = {"python": python, "competition": competition, "estimate": expected}
        write_dataset(made / "dataset", bundle, name, said)
        write_notebook(made / "notebook", name, competition)
        if settings.out.exists():
            shutil.rmtree(settings.out)
        made.replace(settings.out)
    size = sum(path.stat().st_size for path in settings.out.rglob("*") if path.is_file())
    note(f"{size / 1e6:,.0f} MB in {settings.out}; {expected}")
    note(f"kaggle datasets create -p {settings.out}/dataset --dir-mode zip")
    note(f"kaggle kernels push -p {settings.out}/notebook")


if __name__ == "__main__":
    run_command(main, KaggleKitSettings, "python -m pipelines.kaggle_kit")
