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


def find(inputs: Path, name: str, what: str, parent: str | None = None) -> Path:
    """Return the one file of a name, and of a parent folder's, wherever it was mounted."""
    found = [path for path in inputs.rglob(name) if parent in (None, path.parent.name)]
    if len(found) != 1:
        raise SystemExit(
            f"error: {len(found)} files {name} under {inputs}; add {what} to the notebook, once"
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
        if not (kit / name).is_file():
            raise SystemExit(f"error: the kit lacks {name}; upload it again, with --dir-mode zip")
        with (kit / name).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
                raise SystemExit(f"error: {name} of the kit was changed; upload it again")


def run(*arguments: str, **more: Any) -> None:
    """Run a module of this Python, or end with a sentence that names it."""
    if subprocess.run([sys.executable, "-m", *arguments], **more, check=False).returncode:  # noqa: S603
        raise SystemExit(f"error: {' '.join(arguments[:2])} failed, see above")


def main() -> None:
    """Find, check, install, predict; any failure ends with a status that is not 0."""
    parser = argparse.ArgumentParser(description="Predict from a kit, without a network.")
    parser.add_argument("--input", type=Path, default=Path("/kaggle/input"))
    parser.add_argument("--out", type=Path, default=Path("/kaggle/working/submission.csv"))
    options = parser.parse_args()
    kit = find(options.input, DESCRIPTION, "the kit's dataset").parent
    description = json.loads((kit / DESCRIPTION).read_text(encoding="utf-8"))
    competition = description["competition"]
    test = find(options.input, "test.csv", "the competition's data", competition).resolve()
    check_kit(kit, description)
    print(f"kit {kit}, expected: {description['estimate']}", flush=True)
    with tempfile.TemporaryDirectory(prefix="featlab") as scratch:
        packages, start = Path(scratch) / "packages", time.monotonic()
        # What the wheels need besides, the image has.
        run(
            *("pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--no-index", "--find-links", str(kit / "wheels")),
            *("--target", str(packages), *description["requirements"]),
        )
        installed = time.monotonic()
        run(
            *("pipelines.submit", "--run", "run"),
            *("--test", str(test), "--out", str(options.out.resolve())),
            # The encoder's folder is named relative to the kit.
            cwd=kit,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(packages), str(kit.resolve())]),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HF_HUB_OFFLINE": "1",
                "FEATLAB_STORE": str(Path(scratch) / "embeddings"),
            },
        )
        done = time.monotonic()
    print(f"installed in {installed - start:.0f} s, predicted in {done - installed:.0f} s")


if __name__ == "__main__":
    main()
