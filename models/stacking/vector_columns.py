"""Columns that are the coordinates of a vector, and mean nothing one by one.

A signal may hand out a whole vector, a column a coordinate, named
``{what}_vector__{coordinate}``. Trees would pick single coordinates out of
hundreds and learn noise, so only the kernel, which looks at distances between
whole vectors, reads them.
"""

from __future__ import annotations

from collections.abc import Iterable

VECTOR = "_vector__"


def is_vector(name: str) -> bool:
    """Whether a column is a coordinate of a vector.

    Examples
    --------
    >>> is_vector("embedding_vector__17"), is_vector("words__difference")
    (True, False)
    """
    return VECTOR in name


def vector_columns(names: Iterable[str]) -> list[str]:
    """Those of some columns that are coordinates of vectors, in order."""
    return [name for name in names if is_vector(name)]


def scalar_columns(names: Iterable[str]) -> list[str]:
    """Those of some columns that stand for themselves, in order."""
    return [name for name in names if not is_vector(name)]
