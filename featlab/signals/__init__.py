"""Signals: blocks of columns made for every battle, each behind the same interface."""

from featlab.signals.outcomes import TRAINING_ONLY, Outcomes, Rows
from featlab.signals.registry import REGISTRY, find_signal
from featlab.signals.signal import (
    Context,
    Cost,
    Need,
    Signal,
    load_signal,
    save_signal,
)
from featlab.signals.state import State, load_state, save_state

__all__ = [
    "REGISTRY",
    "TRAINING_ONLY",
    "Context",
    "Cost",
    "Need",
    "Outcomes",
    "Rows",
    "Signal",
    "State",
    "find_signal",
    "load_signal",
    "load_state",
    "save_signal",
    "save_state",
]
