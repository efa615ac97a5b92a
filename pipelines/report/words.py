"""Numbers and names as words of a title, a note or a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.evaluation.intervals import Z
from pipelines.report.theme import LABEL_LENGTH


def whole(value: Any) -> str:
    """Return a count with thousands parted: "57,477"."""
    return f"{int(value):,}"


def percent(value: float, digits: int = 0) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> percent(0.3456, 1)
    '34.6 %'
    """
    return f"{value:.{digits}%}".replace("%", " %")


def share_text(row: Mapping[str, Any], of: str = "", digits: int = 0) -> str:
    """Return a share with its interval: ``share, low, high``, or ``x, x_low, x_high`` of an x.

    Examples
    --------
    >>> share_text({"share": 0.5, "low": 0.4, "high": 0.6}, digits=1)
    '50.0 % (40.0 % to 60.0 %)'
    """
    share, low, high = (percent(row[name], digits) for name in (of or "share", *_ends(row, of)))
    return f"{share} ({low} to {high})"


def errors_from(nothing: float, row: Mapping[str, Any], of: str = "") -> float:
    """Return how many standard errors a value lies from where there is nothing to tell."""
    value, low, high = row[of or "share"], *(row[end] for end in _ends(row, of))
    return abs(value - nothing) * 2 * Z / (high - low) if high > low else 0.0


def loss_text(row: Mapping[str, Any], of: str = "log_loss", form: str = ".3f") -> str:
    """Return a loss with its interval; only the bounds have a sign."""
    low, high = (row[end] for end in _ends(row, of))
    return f"{row[of]:{form.strip('+')}} ({low:{form}} to {high:{form}})"


def _ends(row: Mapping[str, Any], of: str) -> tuple[str, str]:
    """Return the columns of the bounds of a value: ``x_low, x_high``, or ``low, high``."""
    return (f"{of}_low", f"{of}_high") if f"{of}_low" in row else ("low", "high")


def spaced(name: str) -> str:
    """Return the name of a column or a feature in words."""
    return name.replace("__", ": ").replace("_", " ")


def outcome_name(outcome: str) -> str:
    """Return an outcome as a label: "A wins", "B wins" or "tie"."""
    return "tie" if outcome == "tie" else f"{outcome.upper()} wins"


def shortened(name: str, length: int = LABEL_LENGTH) -> str:
    """Return a label of one line, cut in the middle where it is too long.

    Examples
    --------
    >>> shortened("a" * 20 + "b" * 20, 9)
    'aaaa…bbbb'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if len(line) <= length:
        return line
    kept = length - 1
    return f"{line[: (kept + 1) // 2]}…{line[len(line) - kept // 2 :]}"
