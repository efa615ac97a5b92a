"""featlab: features that tell which of two answers a person prefers.

Names are imported on first use, so that ``import featlab`` is fast and loads
neither torch nor anything else that the part in use does not need. Type checkers
read the same names in ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "ARENA": "featlab.battles",
    "WSDM": "featlab.battles",
    "BattleColumns": "featlab.features",
    "BattleFeatures": "featlab.transformers",
    "BattleSchema": "featlab.battles",
    "Column": "featlab.columns",
    "Context": "featlab.signals",
    "Cost": "featlab.signals",
    "EncoderSpec": "featlab.encoder",
    "FEATURES": "featlab.features",
    "Feature": "featlab.features",
    "Kind": "featlab.columns",
    "LabelColumn": "featlab.battles",
    "Need": "featlab.signals",
    "OneHotColumns": "featlab.battles",
    "Outcomes": "featlab.signals",
    "PairFeatures": "featlab.transformers",
    "Parity": "featlab.parity",
    "Signal": "featlab.signals",
    "State": "featlab.signals",
    "TextEmbedder": "featlab.transformers.embedder",
    "TextFeatures": "featlab.transformers",
    "feature_table": "featlab.features",
    "read_battles": "featlab.battles",
    "swap": "featlab.parity",
    "swap_battles": "featlab.battles",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'featlab' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
