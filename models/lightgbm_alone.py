"""LightGBM without its faces for other libraries, whose imports take four times as long as its own.

LightGBM imports scikit-learn, pandas and matplotlib where they are installed, to
be handed their frames and to inherit from their classes. Nothing here does that.
What is imported here stays private: who imports ``lightgbm`` gets it with all
its faces.

>>> from models.lightgbm_alone import lgb
>>> lgb.Booster.__name__
'Booster'
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["lgb"]

_FACES = ("dask", "graphviz", "matplotlib", "pandas", "pyarrow", "sklearn")


def _alone() -> ModuleType:
    """Import LightGBM while nothing that it has a face for can be imported."""
    if "lightgbm" in sys.modules:
        return sys.modules["lightgbm"]
    hidden = {name: sys.modules.get(name) for name in _FACES}
    # None in the place of a module is Python's own way of saying that there is none.
    sys.modules.update(dict.fromkeys(_FACES))  # type: ignore[arg-type]
    try:
        return import_module("lightgbm")
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        for name in [name for name in sys.modules if name.partition(".")[0] == "lightgbm"]:
            del sys.modules[name]


if not TYPE_CHECKING:
    lgb = _alone()
