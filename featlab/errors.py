"""Errors a user can act on: each names what is wrong, where, and what to do.

Everything raised on purpose by this project derives from `FeatlabError`, so a
command line needs one `except` to turn bad input into one sentence and exit
status 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LONGEST_MESSAGE = 2_000


def visible(message: str) -> str:
    r"""Return a message as it may be shown on a terminal.

    Ids, names and file names may come from anyone: what would move the cursor,
    colour the screen or turn the direction of writing is shown as its escape,
    and what is too long to read loses its middle.

    Examples
    --------
    >>> print(visible("no column \x1b[2J\u202e"), len(visible("x" * 10**6)) <= 2_000)
    no column \x1b[2J\u202e True
    """
    if len(message) > LONGEST_MESSAGE:
        kept = LONGEST_MESSAGE // 2 - 50
        cut = f" ... {len(message) - 2 * kept:,} characters ... "
        message = message[:kept] + cut + message[-kept:]
    if message.isprintable():
        return message
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in message
    )[:LONGEST_MESSAGE]


class FeatlabError(Exception):
    """Base of every error that describes a condition the user can mend."""


class BattleError(FeatlabError, ValueError):
    """A battle file breaks its schema.

    Parameters
    ----------
    problem : str
        What is wrong, as a clause without a full stop.
    source : str
        The file, or a description of the frame.
    column : str, optional
        The column it was found in.
    rows : sequence, optional
        The first row ids (or row numbers) that show it.
    remedy : str, optional
        What to do about it.

    Examples
    --------
    >>> raise BattleError("is not JSON", source="train.csv", column="prompt", rows=[7, 9])
    Traceback (most recent call last):
        ...
    featlab.errors.BattleError: train.csv: column 'prompt' is not JSON (first ids: 7, 9)
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str,
        column: str | None = None,
        rows: Sequence[object] = (),
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.source = source
        self.column = column
        self.rows = tuple(rows)
        where = f"{source}: column '{column}'" if column else f"{source}:"
        first = f" (first ids: {', '.join(str(row) for row in self.rows)})" if self.rows else ""
        advice = f"; {remedy}" if remedy else ""
        super().__init__(f"{where} {problem}{first}{advice}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle, so that a worker process can hand it over."""
        return _restored, (type(self), str(self), vars(self))


def _restored(kind: type[BattleError], message: str, state: dict[str, Any]) -> BattleError:
    error = kind.__new__(kind, message)
    vars(error).update(state)
    return error


class ConfigError(FeatlabError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class FileError(FeatlabError, ValueError):
    """A file cannot be read or written where it lies, or does not hold what it should."""


class FeatureError(FeatlabError, ValueError):
    """A feature is declared twice, misnamed, or asked for by a name that does not exist."""


class WeightsError(FeatlabError):
    """Encoder weights are missing, truncated, or not what their checksum says."""


class StoreError(FeatlabError):
    """An embedding store lacks a vector that was required, or holds a damaged one."""


class BundleError(FeatlabError):
    """A bundle lacks a file, or a file differs from its recorded checksum."""


class SubmissionError(FeatlabError):
    """A submission would be refused: a wrong header, id, or probability."""
