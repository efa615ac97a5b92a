"""What a feature is: one declaration from which sides, pairings, documentation and tests follow.

A feature of one text is declared once and built for every text it applies to:

>>> shouting = Feature(
...     "capitals",
...     lambda text: text.count("[A-Z]"),
...     pl.UInt32,
...     "characters",
...     "ASCII capital letters",
... )

A feature of two texts (how much of the prompt a response repeats) is declared
the same way with a builder of two arguments.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import polars as pl
from polars._typing import PolarsDataType

from featlab.errors import FeatureError
from featlab.features.pairing import NO_PAIRING, Pairing
from featlab.features.text import Text

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class Scope(StrEnum):
    """Which texts of a battle a feature is built for."""

    PROMPT = "prompt"
    """The prompt alone: an even column."""

    RESPONSE = "response"
    """Each response alone: a column a side, and its pairings."""

    RESPONSE_TO_PROMPT = "response to prompt"
    """Each response together with the prompt: a column a side, and its pairings."""

    RESPONSES = "responses"
    """The two responses together, symmetric in them: an even column."""


@dataclass(frozen=True)
class Feature:
    """One feature.

    Parameters
    ----------
    name : str
        ``[a-z0-9_]``, no double underscore (that separates the text's name).
    build : callable
        From one `Text` (or two, for the scopes of two texts) to an expression. A
        function with a name, or a `functools.partial` of one, pickles for worker
        processes; a lambda does not.
    dtype : polars dtype
        The dtype the column is cast to.
    family : str
        The group users select by.
    meaning : str
        One line for the table of features; the unit stands here.
    scopes : tuple of Scope
        The texts it is built for.
    pairings : tuple of Pairing
        The columns made of the two sides' values.

    Raises
    ------
    FeatureError
        When the name breaks the rule.

    Examples
    --------
    >>> from functools import partial
    >>> from featlab.features.text import Text
    >>> build = partial(Text.count, pattern="[0-9]")
    >>> digits = Feature("digits", build, pl.UInt32, "numbers", "ASCII digits")
    >>> digits.column("response_a")
    'response_a__digits'
    """

    name: str
    build: Callable[..., pl.Expr] = field(repr=False)
    dtype: PolarsDataType
    family: str
    meaning: str
    scopes: tuple[Scope, ...] = (Scope.RESPONSE,)
    pairings: tuple[Pairing, ...] = field(default=NO_PAIRING, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise FeatureError(f"feature name '{self.name}' is not words of [a-z0-9] joined by '_'")

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing in it changes, and copied builders would compare unequal in cloned estimators.
        return self

    def column(self, prefix: str) -> str:
        """Return the column's name for a text (or pair of texts) called `prefix`."""
        return f"{prefix}__{self.name}"

    def expression(self, prefix: str, *texts: Text) -> pl.Expr:
        """Return the cast and named expression for the given texts."""
        return self.build(*texts).cast(self.dtype).alias(self.column(prefix))


def checked(features: Iterable[Feature]) -> tuple[Feature, ...]:
    """Return the same features, after making sure that no two share a name within a scope.

    Raises
    ------
    FeatureError
        When two features would write the same column.
    """
    result = tuple(features)
    seen: set[tuple[Scope, str]] = set()
    for feature in result:
        for scope in feature.scopes:
            if (scope, feature.name) in seen:
                raise FeatureError(f"feature '{feature.name}' is declared twice for {scope}")
            seen.add((scope, feature.name))
    return result


def selected(
    features: Iterable[Feature],
    families: Iterable[str] | None = None,
    names: Iterable[str] | None = None,
) -> tuple[Feature, ...]:
    """Return the features of some families, and those of some names; all where neither is given.

    Raises
    ------
    FeatureError
        When a family or a name does not exist.
    """
    result = tuple(features)
    if families is None and names is None:
        return result
    wanted_families, wanted_names = set(families or ()), set(names or ())
    _check_known("feature family", wanted_families, {feature.family for feature in result})
    _check_known("feature", wanted_names, {feature.name for feature in result})
    return tuple(
        feature
        for feature in result
        if feature.family in wanted_families or feature.name in wanted_names
    )


def _check_known(kind: str, wanted: set[str], known: set[str]) -> None:
    unknown = sorted(wanted - known)
    if unknown:
        shown = difflib.get_close_matches(unknown[0], known) if len(known) > 20 else sorted(known)
        advice = f"; {'the nearest' if len(known) > 20 else 'there'} are {', '.join(shown)}"
        raise FeatureError(f"no {kind} {', '.join(map(repr, unknown))}{advice if shown else ''}")
