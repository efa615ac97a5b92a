"""The two folders of a Kaggle kit: a dataset with all that predicts, a notebook that runs it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from featlab import __version__
from featlab.battles import check_battles, read_battles
from featlab.files import file_fingerprint, write_json
from featlab.generated import generate_battles
from featlab.progress import clock
from models.stacking.bundle import load_bundle
from pipelines.kaggle import submit
from pipelines.kaggle.bundle import copy_bundle
from pipelines.kaggle.wheels import ROOT, name_and_version

HIDDEN_ROWS = 25_000
SAMPLE_ROWS = 500
SOURCE = ("models", "pipelines")
"""The packages that no wheel carries."""


def estimate(bundle: Path, sample: Path | None) -> str:
    """Say how long the hidden test set will take, as some battles take here.

    Parameters
    ----------
    bundle : Path
    sample : Path, optional
        Its first rows are taken; generated battles by default.
    """
    start = time.monotonic()
    ensemble, schema = load_bundle(bundle)
    loaded = time.monotonic() - start
    if sample is None:
        made = generate_battles(SAMPLE_ROWS, seed=0).train
        battles = read_battles(made.select("id", "prompt", "response_a", "response_b"))
    else:
        check_battles(sample, schema)
        battles = read_battles(sample, schema)
    rows = battles.head(SAMPLE_ROWS).collect()
    # The first pass pays for what later ones find ready: compiled plans, pools of threads.
    ensemble.predict(rows.head(20).lazy())
    start = time.monotonic()
    ensemble.predict(rows.lazy())
    took = time.monotonic() - start
    whole = clock(loaded + took * HIDDEN_ROWS / len(rows))
    return (
        f"{HIDDEN_ROWS:,} battles in {whole} ({len(rows):,} took {took:.1f} s on the machine "
        "that made the kit)"
    )


def write_dataset(kit: Path, bundle: Path, name: str, said: Mapping[str, str]) -> None:
    """Complete ``dataset/``, whose wheels are there; ``kit.json`` comes last and lists all else.

    Parameters
    ----------
    kit, bundle : Path
    name : str
        The dataset's on Kaggle, ``owner/name``.
    said : mapping of str to str
        What the script reads besides: ``python``, ``competition``, ``estimate``.
    """
    copy_bundle(bundle, kit)
    for source in sorted(file for room in SOURCE for file in (ROOT / room).rglob("*.py")):
        target = kit / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    wheels = sorted((kit / "wheels").glob("*.whl"))
    files = sorted(path for path in kit.rglob("*") if path.is_file())
    write_json(
        kit / submit.DESCRIPTION,
        {
            **said,
            "featlab": __version__,
            "requirements": ["{}=={}".format(*name_and_version(wheel)) for wheel in wheels],
            "sha256": {path.relative_to(kit).as_posix(): file_fingerprint(path) for path in files},
        },
    )
    metadata = {"title": name.partition("/")[2], "id": name, "licenses": [{"name": "other"}]}
    write_json(kit / "dataset-metadata.json", metadata)


def write_notebook(folder: Path, dataset: str, competition: str) -> None:
    """Fill ``notebook/``: the script, and its metadata with the internet off and the GPU on."""
    folder.mkdir()
    shutil.copyfile(submit.__file__, folder / "submit.py")
    write_json(
        folder / "kernel-metadata.json",
        {
            "id": f"{dataset}-submit",
            "title": f"{dataset.partition('/')[2]}-submit",
            "code_file": "submit.py",
            "language": "python",
            "kernel_type": "script",
            "is_private": True,
            "enable_gpu": True,
            "enable_internet": False,
            "dataset_sources": [dataset],
            "competition_sources": [competition],
        },
    )
