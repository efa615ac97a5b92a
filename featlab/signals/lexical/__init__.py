"""The lexical signal: what the wording says."""

from featlab.signals.lexical.signal import LexicalSignal

__all__ = ["LexicalSignal"]
