"""The versions that shape a prediction, as they are written into manifests."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import featlab

PACKAGES = ("polars", "numpy", "scikit-learn", "lightgbm", "torch", "transformers")


def versions() -> dict[str, str]:
    """Versions of Python, of this project and of the packages it computes with.

    Examples
    --------
    >>> versions()["featlab"] == featlab.__version__
    True
    """
    found = {"python": platform.python_version(), "featlab": featlab.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
