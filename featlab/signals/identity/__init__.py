"""The identity signal: who probably wrote the responses, and what that makes of a battle."""

from featlab.signals.identity.signal import IdentitySignal

__all__ = ["IdentitySignal"]
