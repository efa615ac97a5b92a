"""Views of a text column that many features share, and the counting they do on them.

A `Text` stands for one column of turns. Its views (the joined text, its words)
are named columns that the planner adds once, however many features ask for
them: the engine's own elimination of common subexpressions misses half.

A method with its arguments bound, ``partial(Text.count, pattern="[0-9]")``, is a
feature's builder, and pickles.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from featlab.battles.turns import joined_turns

VIEW_SEPARATOR = "::"


class Text:
    """The column of turns called `column`, as expressions.

    Examples
    --------
    >>> text = Text("response_a")
    >>> str(text.words)
    'col("response_a::words")'
    """

    def __init__(self, column: str) -> None:
        self.column = column

    @property
    def turns(self) -> pl.Expr:
        """The turns, List(String)."""
        return pl.col(self.column)

    @property
    def joined(self) -> pl.Expr:
        """All turns as one string."""
        return self._view("joined")

    @property
    def lowered(self) -> pl.Expr:
        """All turns as one string in lower case."""
        return self._view("lowered")

    @property
    def words(self) -> pl.Expr:
        """Lower-case words, List(String): what lies between spaces and line feeds."""
        return self._view("words")

    @property
    def vocabulary(self) -> pl.Expr:
        """Hashes of the distinct words, List(UInt64), in no stated order.

        Sets of numbers are compared three times faster than sets of strings.
        """
        return self._view("vocabulary")

    @property
    def was_null(self) -> pl.Expr:
        """Whether the cell or one of its turns was null in the file."""
        return pl.col(f"{self.column}__null")

    def feature(self, name: str) -> pl.Expr:
        """Return the value of another feature of the same text."""
        return pl.col(f"{self.column}__{name}")

    def share(self, part: str, whole: str) -> pl.Expr:
        """Return one feature for each unit of another, 0 where there is none."""
        return per(self.feature(part), self.feature(whole))

    def count(self, pattern: str, *, ignore_case: bool = False) -> pl.Expr:
        """Count matches of a regular expression; with `ignore_case`, written in lower case."""
        return self._searched(ignore_case).str.count_matches(pattern)

    def count_lines(self, pattern: str) -> pl.Expr:
        """Count the lines that begin with the pattern.

        Two searches, one for a line feed before it and one at the very start,
        are ten times faster than one that asks for either.
        """
        first = self.joined.str.contains(f"^(?:{pattern})")
        return self.joined.str.count_matches(f"\n(?:{pattern})") + first.cast(pl.UInt32)

    def count_literal(self, literal: str) -> pl.Expr:
        """Count occurrences of a string in the joined text, not overlapping."""
        return self.joined.str.count_matches(literal, literal=True)

    def has(self, pattern: str, *, ignore_case: bool = False) -> pl.Expr:
        """Tell whether a regular expression matches; with `ignore_case`, in lower case."""
        return self._searched(ignore_case).str.contains(pattern)

    def begins(self, pattern: str, window: int = 120, *, ignore_case: bool = False) -> pl.Expr:
        """Tell whether the pattern matches within the first `window` characters."""
        return self._searched(ignore_case).str.head(window).str.contains(pattern)

    def ends(self, pattern: str, window: int = 240, *, ignore_case: bool = False) -> pl.Expr:
        """Tell whether the pattern matches within the last `window` characters."""
        return self._searched(ignore_case).str.tail(window).str.contains(pattern)

    def _searched(self, ignore_case: bool) -> pl.Expr:
        # A pattern marked (?i) loses the engine's literal search and runs 30 times slower.
        return self.lowered if ignore_case else self.joined

    def _view(self, name: str) -> pl.Expr:
        return pl.col(f"{self.column}{VIEW_SEPARATOR}{name}")


def _joined(text: Text) -> pl.Expr:
    return joined_turns(text.column)


def _lowered(text: Text) -> pl.Expr:
    return text.joined.str.to_lowercase()


def _words(text: Text) -> pl.Expr:
    spaced = text.lowered.str.replace_all("\n", " ", literal=True)
    return spaced.str.split(" ").list.filter(pl.element() != "")


def _vocabulary(text: Text) -> pl.Expr:
    return text.words.list.eval(pl.element().hash()).list.unique()


VIEWS: dict[str, Callable[[Text], pl.Expr]] = {
    "joined": _joined,
    "lowered": _lowered,
    "words": _words,
    "vocabulary": _vocabulary,
}
"""How each view is made; a view may use another."""


def view_expression(column: str) -> pl.Expr | None:
    """Return the expression of a view such as ``prompt::words``, or None for other names."""
    text_column, separator, view = column.rpartition(VIEW_SEPARATOR)
    return VIEWS[view](Text(text_column)).alias(column) if separator and view in VIEWS else None


def per(count: pl.Expr, total: pl.Expr) -> pl.Expr:
    """Return `count` for each unit of `total`, 0 where there is none."""
    return pl.when(total > 0).then(count / total).otherwise(0.0)
