"""Numbers as words of a title or a note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def whole(value: Any) -> str:
    """A count with thousands parted.

    Examples
    --------
    >>> whole(57477)
    '57,477'
    """
    return f"{int(value):,}"


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent.

    Examples
    --------
    >>> percent(0.3456)
    '34.6 %'
    """
    return f"{value:.{digits}%}".replace("%", " %")


def share_text(row: Mapping[str, float]) -> str:
    """A share with its interval.

    Examples
    --------
    >>> share_text({"share": 0.5, "low": 0.4, "high": 0.6})
    '50.0 % (40.0 % to 60.0 %)'
    """
    return f"{percent(row['share'])} ({percent(row['low'])} to {percent(row['high'])})"
