"""The settings of a run, and what differs between two of them."""

from __future__ import annotations

import tomllib
from typing import Any

from featlab.errors import ConfigError
from pipelines.run.folder import RunFolder

PLACES = ("run", "data", "verbose")
"""Settings that say where, not what."""


def read_config(run: RunFolder) -> dict[str, Any]:
    """Return the settings of a run, those of groups as ``group.name``.

    Raises
    ------
    ConfigError
        When they cannot be read.
    """
    try:
        return flat(run.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run.config} cannot be read: {error}") from None


def flat(toml: str) -> dict[str, Any]:
    r"""Return the values of a TOML text, those of tables as ``table.name``.

    Examples
    --------
    >>> flat("seed = 1\n[encoder]\nepochs = 2")
    {'seed': 1, 'encoder.epochs': 2}
    """
    found: dict[str, Any] = {}
    for name, value in tomllib.loads(toml).items():
        group = value.items() if isinstance(value, dict) else [("", value)]
        found |= {f"{name}.{inner}".rstrip("."): one for inner, one in group}
    return found


def changed(first: dict[str, Any], second: dict[str, Any], kind: str) -> list[str]:
    """Return a line for each value that differs.

    Examples
    --------
    >>> changed({"seed": 0, "trials": 5}, {"seed": 1, "trials": 5}, "setting")
    ['setting seed: 0 -> 1']
    """
    names = [name for name in {**first, **second} if name not in PLACES]
    return [
        f"{kind} {name}: {first.get(name, 'none')} -> {second.get(name, 'none')}"
        for name in names
        if first.get(name) != second.get(name)
    ]
