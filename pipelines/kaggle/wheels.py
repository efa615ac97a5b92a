"""The wheels of a Kaggle kit: the project's own, and what Kaggle's image lacks.

pip resolves for the image's Python and platform, whatever runs here, at the
versions of ``constraints.txt``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from featlab.errors import ConfigError

ROOT = Path(__file__).parents[2]

RUNTIME = (
    *("lightgbm", "numpy", "polars", "pydantic-settings", "rich", "safetensors"),
    *("scikit-learn", "scipy", "threadpoolctl", "tomli-w"),
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


def write_wheels(folder: Path, python: str, *, torch: bool, whole: bool) -> None:
    """Fill a folder with the wheels that a kit's script installs.

    Parameters
    ----------
    folder : Path
    python : str
        Version of the image's Python, such as ``3.12``.
    torch : bool
        Whether the bundle reads with an encoder.
    whole : bool
        Also take what the image has, torch apart.

    Raises
    ------
    ConfigError
        When there is no source tree to build from, or pip finds no wheel of a package.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise ConfigError(f"{ROOT} is no checkout of the project: a kit is made from its source")
    folder.mkdir(parents=True)
    # With the build backend at hand nothing has to be fetched to build.
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    _pip("wheel", "--no-deps", *isolation, "--wheel-dir", str(folder), str(ROOT))
    _pip(
        *("download", "--dest", str(folder), "--only-binary", ":all:"),
        *("--python-version", python, "--implementation", "cp"),
        *(part for platform in PLATFORMS for part in ("--platform", platform)),
        *("--constraint", str(ROOT / "constraints.txt")),
        *(*RUNTIME, *(ENCODER_RUNTIME if torch and whole else ())),
    )
    for wheel in folder.glob("*.whl"):
        if not whole and name_and_version(wheel)[0] in IN_IMAGE:
            wheel.unlink()


def name_and_version(wheel: Path) -> tuple[str, str]:
    """Return the normalised name and the version of a wheel.

    Examples
    --------
    >>> name_and_version(Path("pydantic_settings-2.16.3-py3-none-any.whl"))
    ('pydantic-settings', '2.16.3')
    """
    name, version = wheel.name.split("-")[:2]
    return re.sub(r"[-_.]+", "-", name).lower(), version


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else result.stderr
        raise ConfigError(f"pip {arguments[0]} failed: {reason}")
