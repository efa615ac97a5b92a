"""Every signal by name, imported on use: torch takes seconds and few signals need it."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

from featlab.errors import ConfigError
from featlab.signals.signal import Signal

REGISTRY: dict[str, str] = {
    "text": "featlab.signals.text:TextSignal",
    "lexical": "featlab.signals.lexical:LexicalSignal",
    "identity": "featlab.signals.identity:IdentitySignal",
    "embedding": "featlab.signals.embedding:EmbeddingSignal",
    "encoder": "models.preference.encoder_signal:EncoderSignal",
}
"""Name -> ``module:Class``, in the order of the ensemble's columns."""


def find_signal(name: str, trusted: Collection[str] | None = None) -> type[Signal[Any]]:
    """Return the class of a signal.

    Parameters
    ----------
    name : str
        A name of `REGISTRY`, or ``module:Class`` of one that is not in this
        project.
    trusted : collection of str, optional
        Modules, and files of features, whose code may run. By default any, since the name came from
        whoever runs the command; a bundle's names come from a stranger, so
        loading one passes the modules that the user trusts.

    Raises
    ------
    ConfigError
        When there is no such signal, or its module is not trusted.

    Examples
    --------
    >>> find_signal("text").__name__
    'TextSignal'
    >>> find_signal("lexicon")
    Traceback (most recent call last):
        ...
    featlab.errors.ConfigError: no signal lexicon; there are text, lexical, identity, embedding,
    encoder, and your own as my_module:MySignal
    """
    if name.startswith("given:"):
        from featlab.signals.given import given_signal

        return given_signal(name.partition(":")[2])
    if name.startswith("text+"):
        from featlab.signals.text import text_signal_with

        return text_signal_with(_trusted_file(name.partition("+")[2], trusted or ()))
    module, colon, attribute = REGISTRY.get(name, name).partition(":")
    if not colon:
        raise ConfigError(
            f"no signal {name}; there are {', '.join(REGISTRY)}, and your own as my_module:MySignal"
        )
    if name not in REGISTRY and trusted is not None and module not in trusted:
        raise ConfigError(
            f"signal {name} is code from outside this project; if you trust it, add "
            f"--trust {module}"
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"signal {name} cannot be imported: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Signal)):
        raise ConfigError(f"{name} is no subclass of featlab.Signal")
    return found


def _trusted_file(name: str, trusted: Collection[str]) -> Path:
    """Return where the trusted file of a name lies."""
    for given in trusted:
        if Path(given).name == name:
            return Path(given)
    raise ConfigError(
        f"the text signal has features of {name}, code from outside this project; if you trust "
        f"it, add --trust with its path: --trust {name}"
    )
