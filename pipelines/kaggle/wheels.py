"""The wheels of a Kaggle kit: the project's own, and what Kaggle's image lacks.

pip resolves for the image's Python and platform, whatever runs here, at the
versions of ``constraints.txt``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from featlab.errors import ConfigError

ROOT = Path(__file__).parents[2]

RUNTIME = (
    *("lightgbm", "numpy", "polars", "pydantic-settings", "rich", "safetensors"),
    *("scikit-learn", "scipy", "threadpoolctl"),
)
"""What `pipelines.submit` imports, besides torch and transformers where there is an encoder."""

ENCODER_RUNTIME = ("transformers",)

# The image is built on Colab's, whose packages are listed at github.com/googlecolab/backend-info;
# polars, scikit-learn and LightGBM are there too, but older than what a bundle was trained with.
IN_IMAGE = frozenset(
    {
        *("annotated-types", "cloudpickle", "joblib", "markdown-it-py", "mdurl", "narwhals"),
        *("numpy", "pydantic", "pydantic-core", "pygments", "python-dotenv", "rich"),
        *("safetensors", "scipy", "typing-extensions", "typing-inspection"),
    }
)
"""What `RUNTIME` needs and the image has in versions that serve; normalised names."""

# glibc 2.35, Ubuntu 22.04.
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(35, 16, -1)),
    "manylinux2014_x86_64",
)


def build_wheel(folder: Path) -> Path:
    """Build the project's own wheel into `folder`.

    Raises
    ------
    ConfigError
        When there is no source tree to build from, or the build fails.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise ConfigError(f"{ROOT} is no checkout of the project: a kit is made from its source")
    # With the build backend at hand nothing has to be fetched to build.
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    _pip("wheel", "--no-deps", *isolation, "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("featlab-*.whl"))


def download_wheels(
    folder: Path, packages: Sequence[str], *, python: str, leave_out: Iterable[str]
) -> None:
    """Download the closure of `packages` for the image, less what is left out.

    Parameters
    ----------
    folder : Path
    packages : sequence of str
        Names, at the versions of ``constraints.txt``.
    python : str
        Such as ``3.12``.
    leave_out : iterable of str
        Normalised names of packages that need not come along.

    Raises
    ------
    ConfigError
        When pip finds no wheel of a package for that Python.
    """
    _pip(
        *("download", "--dest", str(folder), "--only-binary", ":all:"),
        *("--python-version", python, "--implementation", "cp"),
        *(part for platform in PLATFORMS for part in ("--platform", platform)),
        *("--constraint", str(ROOT / "constraints.txt")),
        *packages,
    )
    unwanted = frozenset(leave_out)
    for wheel in folder.glob("*.whl"):
        if name_and_version(wheel)[0] in unwanted:
            wheel.unlink()


def name_and_version(wheel: Path) -> tuple[str, str]:
    """Normalised name and version of a wheel.

    Examples
    --------
    >>> name_and_version(Path("pydantic_settings-2.16.3-py3-none-any.whl"))
    ('pydantic-settings', '2.16.3')
    """
    name, version = wheel.name.split("-")[:2]
    return re.sub(r"[-_.]+", "-", name).lower(), version


def _pip(command: str, *arguments: str) -> None:
    result = subprocess.run(  # noqa: S603 - arguments are our own
        [
            *(sys.executable, "-m", "pip", command),
            *("--quiet", "--disable-pip-version-check", *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise ConfigError(
            f"pip {command} failed: {lines[-1].removeprefix('ERROR: ') if lines else result.stderr}"
        )
