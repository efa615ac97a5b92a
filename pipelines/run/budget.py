"""The time that a command may take, shared out among what can be cut short."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Budget:
    """When a command shall have ended.

    Parameters
    ----------
    end : float
        A time of `time.monotonic`.
    """

    end: float = inf

    @classmethod
    def starting_now(cls, duration: str | None) -> Budget:
        """Return the budget of a duration such as ``20m``; without one there is no end.

        Examples
        --------
        >>> Budget.starting_now("20m").after(0.5) - time.monotonic() > 599
        True
        """
        if duration is None:
            return cls()
        return cls(time.monotonic() + int(duration[:-1]) * _SECONDS[duration[-1]])

    def after(self, share: float) -> float:
        """Return the time at which a share of what is left will have gone by."""
        now = time.monotonic()
        return now + share * (self.end - now)
