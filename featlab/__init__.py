"""featlab: features that tell which of two answers a person prefers.

Names are imported on first use, so that ``import featlab`` is fast and loads
neither torch nor anything else that the part in use does not need.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # What checkers take for true; to import typing for it takes 10 ms.
if TYPE_CHECKING:
    from featlab.battles import (
        ARENA,
        WSDM,
        BattleSchema,
        LabelColumn,
        OneHotColumns,
        read_battles,
        swap_battles,
    )
    from featlab.columns import Column, Kind
    from featlab.encoder import EncoderSpec
    from featlab.features import FEATURES, BattleColumns, Feature, feature_table
    from featlab.parity import Parity, swap
    from featlab.signals import Context, Cost, Need, Outcomes, Signal, State
    from featlab.transformers import BattleFeatures, PairFeatures, TextFeatures
    from featlab.transformers.embedder import TextEmbedder

__version__ = "0.1.0"

__all__ = [
    "ARENA",
    "FEATURES",
    "WSDM",
    "BattleColumns",
    "BattleFeatures",
    "BattleSchema",
    "Column",
    "Context",
    "Cost",
    "EncoderSpec",
    "Feature",
    "Kind",
    "LabelColumn",
    "Need",
    "OneHotColumns",
    "Outcomes",
    "PairFeatures",
    "Parity",
    "Signal",
    "State",
    "TextEmbedder",
    "TextFeatures",
    "__version__",
    "feature_table",
    "read_battles",
    "swap",
    "swap_battles",
]

_MODULES = {
    "featlab.battles": (
        *("ARENA", "WSDM", "BattleSchema", "LabelColumn", "OneHotColumns"),
        *("read_battles", "swap_battles"),
    ),
    "featlab.columns": ("Column", "Kind"),
    "featlab.encoder": ("EncoderSpec",),
    "featlab.features": ("FEATURES", "BattleColumns", "Feature", "feature_table"),
    "featlab.parity": ("Parity", "swap"),
    "featlab.signals": ("Context", "Cost", "Need", "Outcomes", "Signal", "State"),
    "featlab.transformers": ("BattleFeatures", "PairFeatures", "TextFeatures"),
    "featlab.transformers.embedder": ("TextEmbedder",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # A checker that saw this would take any name for granted.

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module 'featlab' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
