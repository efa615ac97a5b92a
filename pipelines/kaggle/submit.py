"""The script that runs on Kaggle: install from the kit, predict, write submission.csv.

`pipelines.kaggle_kit` copies this file into the kit as it stands. It needs
nothing but Python and pip, no network, and none of the project's packages
until it has installed them: into a folder of its own, in front of the image's
packages, which stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DESCRIPTION = "kit.json"


def find_kit(inputs: Path) -> Path:
    """The folder under `inputs` that holds the kit, wherever the dataset was mounted."""
    found = sorted(inputs.rglob(DESCRIPTION))
    if len(found) != 1:
        raise SystemExit(
            f"error: {len(found)} kits under {inputs}; add the kit's dataset to the notebook, once"
        )
    return found[0].parent


def find_test_file(inputs: Path, competition: str) -> Path:
    """The competition's test.csv, wherever it was mounted."""
    found = [path for path in inputs.rglob("test.csv") if path.parent.name == competition]
    if len(found) != 1:
        raise SystemExit(
            f"error: {len(found)} files {competition}/test.csv under {inputs}; add the "
            "competition's data to the notebook"
        )
    return found[0]


def check_kit(kit: Path, description: dict[str, Any]) -> None:
    """End with a sentence where the kit cannot work: another Python, a file lost or changed."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here != description["python"]:
        raise SystemExit(
            f"error: the kit is for Python {description['python']}, this is {here}; make it again "
            f'with ARGS="--python-version {here}"'
        )
    for name, expected in description["sha256"].items():
        path = kit / name
        if not path.is_file():
            raise SystemExit(f"error: the kit lacks {name}; upload it again, with --dir-mode zip")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise SystemExit(f"error: {name} of the kit was changed; upload it again")


def install(kit: Path, description: dict[str, Any], packages: Path) -> None:
    """Unpack the kit's wheels into `packages`; what they need besides, the image has."""
    subprocess.run(  # noqa: S603 - arguments are our own
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--find-links", str(kit / "wheels"), "--no-deps"),
            *("--target", str(packages), *description["requirements"]),
        ],
        check=True,
    )


def predict(kit: Path, packages: Path, test: Path, out: Path) -> None:
    """Run ``pipelines.submit`` of the kit."""
    store = packages.parent / "embeddings"
    subprocess.run(  # noqa: S603 - arguments are our own
        [
            *(sys.executable, "-m", "pipelines.submit", "--run", "run"),
            *("--test", str(test.resolve()), "--out", str(out.resolve())),
        ],
        # The encoder's folder is named relative to the kit.
        cwd=kit,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(packages), str(kit)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
            "FEATLAB_STORE": str(store),
        },
        check=True,
    )


def main() -> None:
    """Find, check, install, predict; any failure ends with a status that is not 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--input", type=Path, default=Path("/kaggle/input"))
    parser.add_argument("--out", type=Path, default=Path("/kaggle/working/submission.csv"))
    arguments = parser.parse_args()
    kit = find_kit(arguments.input)
    description = json.loads((kit / DESCRIPTION).read_text(encoding="utf-8"))
    test = find_test_file(arguments.input, description["competition"])
    check_kit(kit, description)
    print(f"kit {kit}, expected: {description['estimate']['sentence']}", flush=True)
    with tempfile.TemporaryDirectory(prefix="featlab") as scratch:
        packages = Path(scratch) / "packages"
        start = time.monotonic()
        try:
            install(kit, description, packages)
            installed = time.monotonic()
            predict(kit, packages, test, arguments.out)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"error: {' '.join(error.cmd[1:4])} failed, see above") from None
    print(
        f"installed in {installed - start:.0f} s, predicted in {time.monotonic() - installed:.0f} s"
    )


if __name__ == "__main__":
    main()
