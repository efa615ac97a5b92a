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

from featlab.battles.turns import TURN_SEPARATOR, joined_turns

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
    def prose(self) -> pl.Expr:
        """All turns without their fenced code; a fence left open runs to the end of its turn."""
        return self._view("prose")

    @property
    def code(self) -> pl.Expr:
        """The fenced code of all turns, fences included, each block on lines of its own."""
        return self._view("code")

    @property
    def turn_fences(self) -> pl.Expr:
        """How many code fences each turn holds, List(UInt32)."""
        return self._view("turn_fences")

    @property
    def fenced_turns(self) -> pl.Expr:
        """The turns of a text that holds code fences, and no turns of the other texts."""
        return self._view("fenced_turns")

    def where_fenced(self, fenced: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
        """Return `fenced` where the text holds code fences: one text in seven does."""
        return pl.when(self.fenced_turns.list.len() > 0).then(fenced).otherwise(otherwise)

    @property
    def lowered(self) -> pl.Expr:
        """All turns as one string in lower case."""
        return self._view("lowered")

    @property
    def beyond_ascii(self) -> pl.Expr:
        """The characters that are not ASCII, as one string: all that other scripts can be in."""
        return self._view("beyond_ascii")

    @property
    def words(self) -> pl.Expr:
        """Lower-case words, List(String): what lies between spaces and line feeds."""
        return self._view("words")

    @property
    def hashed_words(self) -> pl.Expr:
        """Hashes of the words in order, List(UInt64).

        Numbers are filtered, compared and joined to n-grams many times faster than strings.
        """
        return self._view("hashed_words")

    @property
    def vocabulary(self) -> pl.Expr:
        """Hashes of the distinct words, List(UInt64), in no stated order."""
        return self._view("vocabulary")

    def ngrams(self, size: int) -> pl.Expr:
        """Hashes of the runs of 2 or 4 words in order, List(UInt64)."""
        return self._view(f"{size}grams")

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

    def count(self, pattern: str, *, ignore_case: bool = False, of: str = "joined") -> pl.Expr:
        """Count matches of a regular expression.

        Parameters
        ----------
        pattern : str
            Written in lower case, with `ignore_case`.
        ignore_case : bool
            Whether to search the text in lower case.
        of : {"joined", "prose", "code"}
            The view to search.
        """
        return self._searched(of, ignore_case).str.count_matches(pattern)

    def count_bytes(self, first: str, last: str) -> pl.Expr:
        """Count the ASCII characters from `first` to `last`: ten times faster than their class."""
        within = pl.element().is_between(ord(first), ord(last))
        return self.joined.cast(pl.Binary).cast(pl.List(pl.UInt8)).list.eval(within).list.sum()

    def count_lines(self, pattern: str, *, of: str = "joined") -> pl.Expr:
        """Count the lines that begin with the pattern.

        Two searches, one for a line feed before it and one at the very start,
        are ten times faster than one that asks for either.
        """
        first = self._view(of).str.contains(f"^(?:{pattern})")
        return self._view(of).str.count_matches(f"\n(?:{pattern})") + first.cast(pl.UInt32)

    def count_literal(self, literal: str, *, of: str = "joined") -> pl.Expr:
        """Count occurrences of a string in a view of the text, not overlapping."""
        return self._view(of).str.count_matches(literal, literal=True)

    def has(self, pattern: str, *, ignore_case: bool = False, of: str = "joined") -> pl.Expr:
        """Tell whether a regular expression matches."""
        return self._searched(of, ignore_case).str.contains(pattern)

    def begins(
        self, pattern: str, window: int = 120, *, ignore_case: bool = False, of: str = "joined"
    ) -> pl.Expr:
        """Tell whether the pattern matches within the first `window` characters."""
        return self._searched(of, ignore_case).str.head(window).str.contains(pattern)

    def ends(
        self, pattern: str, window: int = 240, *, ignore_case: bool = False, of: str = "joined"
    ) -> pl.Expr:
        """Tell whether the pattern matches within the last `window` characters."""
        return self._searched(of, ignore_case).str.tail(window).str.contains(pattern)

    def _searched(self, of: str, ignore_case: bool) -> pl.Expr:
        # A pattern marked (?i) loses the engine's literal search and runs 30 times slower.
        if not ignore_case:
            return self._view(of)
        return self.lowered if of == "joined" else self._view(f"lowered_{of}")

    def _view(self, name: str) -> pl.Expr:
        return pl.col(f"{self.column}{VIEW_SEPARATOR}{name}")


_FENCED = "(?s:```.*?(?:```|$))"


def _joined(text: Text) -> pl.Expr:
    return joined_turns(text.column)


def _fenced_turns(text: Text) -> pl.Expr:
    fenced = text.turn_fences.list.sum() > 0
    return pl.when(fenced).then(text.turns).otherwise(pl.lit([], dtype=pl.List(pl.String)))


def _prose(text: Text) -> pl.Expr:
    outside = pl.element().str.replace_all(_FENCED, "")
    prose = text.fenced_turns.list.eval(outside).list.join(TURN_SEPARATOR)
    return text.where_fenced(prose, text.joined)


def _code(text: Text) -> pl.Expr:
    blocks = pl.element().str.extract_all(_FENCED).list.join("\n")
    return text.fenced_turns.list.eval(blocks).list.filter(pl.element() != "").list.join("\n")


def _turn_fences(text: Text) -> pl.Expr:
    return text.turns.list.eval(pl.element().str.count_matches("```", literal=True))


def _lowered(text: Text) -> pl.Expr:
    return text.joined.str.to_lowercase()


def _lowered_prose(text: Text) -> pl.Expr:
    fenced = text.where_fenced(text.prose, pl.lit(""))
    return text.where_fenced(fenced.str.to_lowercase(), text.lowered)


def _lowered_code(text: Text) -> pl.Expr:
    return text.code.str.to_lowercase()


def _beyond_ascii(text: Text) -> pl.Expr:
    return text.joined.str.extract_all(r"[^\x00-\x7f]+").list.join("")


def _split(text: Text) -> pl.Expr:
    return text.lowered.str.replace_all("\n", " ", literal=True).str.split(" ")


def _words(text: Text) -> pl.Expr:
    return _split(text).list.filter(pl.element() != "")


def _hashed_words(text: Text) -> pl.Expr:
    return (
        _split(text).list.eval(pl.element().hash()).list.filter(pl.element() != pl.lit("").hash())
    )


def _vocabulary(text: Text) -> pl.Expr:
    return text.hashed_words.list.unique()


def _joined_runs(shorter: pl.Expr, step: int, multiplier: int) -> pl.Expr:
    runs = (shorter.list.len().cast(pl.Int64) - step).clip(0)
    first = shorter.list.head(runs) * pl.lit(multiplier, dtype=pl.UInt64)
    return first + shorter.list.slice(step)


def _2grams(text: Text) -> pl.Expr:
    return _joined_runs(text.hashed_words, 1, 0x9E3779B97F4A7C15)


def _4grams(text: Text) -> pl.Expr:
    # With the same multiplier, the two words in the middle could trade places.
    return _joined_runs(text.ngrams(2), 2, 0xD6E8FEB86659FD93)


VIEWS: dict[str, Callable[[Text], pl.Expr]] = {
    "joined": _joined,
    "prose": _prose,
    "code": _code,
    "turn_fences": _turn_fences,
    "fenced_turns": _fenced_turns,
    "lowered": _lowered,
    "lowered_prose": _lowered_prose,
    "lowered_code": _lowered_code,
    "beyond_ascii": _beyond_ascii,
    "words": _words,
    "hashed_words": _hashed_words,
    "vocabulary": _vocabulary,
    "2grams": _2grams,
    "4grams": _4grams,
}
"""How each view is made; a view may use another."""


def view_expression(column: str) -> pl.Expr | None:
    """Return the expression of a view such as ``prompt::words``, or None for other names."""
    text_column, separator, view = column.rpartition(VIEW_SEPARATOR)
    return VIEWS[view](Text(text_column)).alias(column) if separator and view in VIEWS else None


def per(count: pl.Expr, total: pl.Expr) -> pl.Expr:
    """Return `count` for each unit of `total`, 0 where there is none."""
    return pl.when(total > 0).then(count / total).otherwise(0.0)
