"""Pack a run for Kaggle, where there is no network: ``python -m pipelines.kaggle_kit``.

Two folders come out, each with Kaggle's own metadata. ``dataset/`` holds all
that a submission needs: wheels, the source of `models` and `pipelines`, the
bundle and the encoder. ``notebook/`` holds the script that installs from the
dataset and writes submission.csv, with the internet off and the GPU on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field

from featlab import __version__
from featlab.battles import check_battles, read_battles
from featlab.errors import ConfigError
from featlab.files import file_fingerprint, write_json
from featlab.generated import write_battles
from featlab.progress import clock
from models.stacking.bundle import load_bundle
from pipelines.download.kaggle import COMPETITION
from pipelines.kaggle import submit as kaggle_submit
from pipelines.kaggle.bundle import copy_bundle, needs_torch
from pipelines.kaggle.wheels import (
    ENCODER_RUNTIME,
    IN_IMAGE,
    ROOT,
    RUNTIME,
    build_wheel,
    download_wheels,
    name_and_version,
)
from pipelines.run.console import run_command, say
from pipelines.run.folder import RunFolder
from pipelines.run.settings import CommandSettings

HIDDEN_ROWS = 25_000
SAMPLE_ROWS = 500


class KaggleKitSettings(CommandSettings):
    """Settings of ``pipelines.kaggle_kit``."""

    out: Path = Field(Path("kaggle"), description="folder to write the kit into")
    owner: str | None = Field(None, description="your name on Kaggle; KAGGLE_USERNAME by default")
    name: str = Field(
        "featlab-kit", pattern="^[a-z0-9-]{6,45}$", description="the dataset's name on Kaggle"
    )
    competition: str = Field(COMPETITION, description="competition on Kaggle")
    python_version: str = Field("3.12", pattern=r"^3\.\d+$", description="Python of Kaggle's image")
    all_wheels: bool = Field(False, description="also the packages that the image has, torch apart")
    sample: Path | None = Field(
        None, description="battles to time the bundle on; generated ones by default"
    )


@dataclass(frozen=True)
class Estimate:
    """How long the hidden test set will take, from a sample on this machine.

    Parameters
    ----------
    sample : int
        Battles that were predicted.
    load_seconds, predict_seconds : float
        For reading the bundle, and for the sample.
    rows : int
        Battles to expect.

    Examples
    --------
    >>> Estimate(sample=500, load_seconds=1.0, predict_seconds=2.0, rows=25_000).sentence
    '25,000 battles in 1:41 (500 took 2.0 s on the machine that made the kit)'
    """

    sample: int
    load_seconds: float
    predict_seconds: float
    rows: int = HIDDEN_ROWS

    @property
    def seconds(self) -> float:
        """Expected for all rows, the bundle's loading included."""
        return self.load_seconds + self.predict_seconds * self.rows / self.sample

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} battles in {clock(self.seconds)} ({self.sample:,} took "
            f"{self.predict_seconds:.1f} s on the machine that made the kit)"
        )


def estimate(bundle: Path, sample: Path | None) -> Estimate:
    """Load the bundle and time it on the first rows of `sample`, or on generated battles."""
    start = time.monotonic()
    ensemble, schema = load_bundle(bundle)
    loaded = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        if sample is None:
            write_battles(Path(folder), 1, SAMPLE_ROWS, seed=0)
            battles = read_battles(Path(folder) / "test.csv").collect()
        else:
            check_battles(sample, schema)
            battles = read_battles(sample, schema).head(SAMPLE_ROWS).collect()
    # The first pass pays for what later ones find ready: compiled plans, pools of threads.
    ensemble.predict(battles.head(20).lazy())
    start = time.monotonic()
    ensemble.predict(battles.lazy())
    return Estimate(len(battles), loaded, time.monotonic() - start)


def copy_source(kit: Path) -> None:
    """The source of `models` and `pipelines`, which no wheel carries."""
    for package in ("models", "pipelines"):
        for file in sorted((ROOT / package).rglob("*.py")):
            target = kit / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def write_wheels(folder: Path, settings: KaggleKitSettings, *, encoder: bool) -> list[str]:
    """Fill the folder of wheels and return what is to be installed from it."""
    folder.mkdir()
    build_wheel(folder)
    packages = (*RUNTIME, *(ENCODER_RUNTIME if encoder and settings.all_wheels else ()))
    download_wheels(
        folder,
        packages,
        python=settings.python_version,
        leave_out=() if settings.all_wheels else IN_IMAGE,
    )
    return ["{}=={}".format(*name_and_version(wheel)) for wheel in sorted(folder.glob("*.whl"))]


def write_dataset(kit: Path, owner: str, settings: KaggleKitSettings) -> Estimate:
    """Fill ``dataset/``; ``kit.json`` comes last and lists every other file's sha256."""
    bundle = RunFolder(settings.run).bundle
    encoder = needs_torch(bundle)
    expected = estimate(bundle, settings.sample)
    copy_bundle(bundle, kit)
    copy_source(kit)
    requirements = write_wheels(kit / "wheels", settings, encoder=encoder)
    files = sorted(path for path in kit.rglob("*") if path.is_file())
    write_json(
        kit / kaggle_submit.DESCRIPTION,
        {
            "featlab": __version__,
            "python": settings.python_version,
            "competition": settings.competition,
            "requirements": requirements,
            "estimate": {**asdict(expected), "sentence": expected.sentence},
            "sha256": {path.relative_to(kit).as_posix(): file_fingerprint(path) for path in files},
        },
    )
    write_json(
        kit / "dataset-metadata.json",
        {
            "title": settings.name,
            "id": f"{owner}/{settings.name}",
            "licenses": [{"name": "other"}],
        },
    )
    return expected


def write_notebook(folder: Path, owner: str, settings: KaggleKitSettings) -> None:
    """Fill ``notebook/``: the script and its metadata."""
    name = f"{settings.name}-submit"
    shutil.copyfile(kaggle_submit.__file__, folder / "submit.py")
    write_json(
        folder / "kernel-metadata.json",
        {
            "id": f"{owner}/{name}",
            "title": name,
            "code_file": "submit.py",
            "language": "python",
            "kernel_type": "script",
            "is_private": True,
            "enable_gpu": True,
            "enable_internet": False,
            "dataset_sources": [f"{owner}/{settings.name}"],
            "competition_sources": [settings.competition],
            "kernel_sources": [],
            "model_sources": [],
        },
    )


def main(settings: KaggleKitSettings) -> None:
    """Make the kit beside its place, and put it there when it is whole."""
    owner = settings.owner or os.environ.get("KAGGLE_USERNAME")
    if not owner:
        raise ConfigError("whose dataset will it be? Give --owner, your name on Kaggle")
    if settings.out.exists() and not (settings.out / "dataset" / "kit.json").is_file():
        raise ConfigError(f"{settings.out} exists and is no kit; choose another folder by --out")
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.out.parent, prefix=".kit") as scratch:
        made = Path(scratch) / "kit"
        for folder in ("dataset", "notebook"):
            (made / folder).mkdir(parents=True)
        expected = write_dataset(made / "dataset", owner, settings)
        write_notebook(made / "notebook", owner, settings)
        if settings.out.exists():
            shutil.rmtree(settings.out)
        made.replace(settings.out)
    size = sum(path.stat().st_size for path in settings.out.rglob("*") if path.is_file())
    say(f"{size / 1e6:,.0f} MB in {settings.out}; {expected.sentence}")
    say(f"kaggle datasets create -p {settings.out}/dataset --dir-mode zip")
    say(f"kaggle kernels push -p {settings.out}/notebook")


if __name__ == "__main__":
    run_command(main, KaggleKitSettings, "python -m pipelines.kaggle_kit")
