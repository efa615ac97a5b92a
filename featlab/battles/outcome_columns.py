"""How a file says who won: columns of 0 and 1, words in one column, or the order of responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

A_WORDS = ("0", "a", "model_a", "response_a", "assistant_a", "answer_a", "left", "a_win")
B_WORDS = ("1", "b", "model_b", "response_b", "assistant_b", "answer_b", "right", "b_win")
TIE_WORDS = (
    *("2", "tie", "tied", "draw", "equal", "same", "both", "neither", "tie_bothbad", "bothbad"),
    *("both_bad", "tie_both_bad", "both_good", "bothgood"),
)

_SHOWN = 5


@dataclass(frozen=True)
class OneHotColumns:
    """The outcome as columns of 0 and 1, exactly one of them 1.

    Parameters
    ----------
    a, b : str
        Columns that are 1 where that side won.
    tie : str, optional
        Column that is 1 where nobody did; ``None`` where the file knows no ties.

    Examples
    --------
    >>> OneHotColumns("left", "right", tie=None).names
    ('left', 'right')
    """

    a: str = "winner_model_a"
    b: str = "winner_model_b"
    tie: str | None = "winner_tie"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file that this outcome needs."""
        return (self.a, self.b) if self.tie is None else (self.a, self.b, self.tie)

    def label(self, columns: Sequence[pl.Expr]) -> pl.Expr:
        """Return the label, given the columns of `names`; null where they state no single one."""
        values = [_word(column) for column in columns]
        hits = [
            pl.all_horizontal(
                value.is_in(["1", "true"] if index == winner else ["0", "false"])
                for index, value in enumerate(values)
            )
            for winner in range(len(values))
        ]
        return _first_of(hits)


@dataclass(frozen=True)
class LabelColumn:
    """The outcome as one column of words.

    Case, blanks, hyphens and brackets of words do not matter, and ``1.0`` is ``1``.

    Parameters
    ----------
    column : str
        The column of the file.
    a, b, tie : str or tuple of str
        The words for each outcome.

    Examples
    --------
    >>> verdicts = pl.DataFrame({"verdict": ["left", "right", "left"]})
    >>> outcome = LabelColumn("verdict", a="left", b="right", tie="both")
    >>> verdicts.select(outcome.label([pl.col("verdict")])).to_series().to_list()
    [0, 1, 0]
    """

    column: str = "winner"
    a: str | tuple[str, ...] = A_WORDS
    b: str | tuple[str, ...] = B_WORDS
    tie: str | tuple[str, ...] = TIE_WORDS

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file that this outcome needs."""
        return (self.column,)

    def label(self, columns: Sequence[pl.Expr]) -> pl.Expr:
        """Return the label, given the columns of `names`; null where no word is known."""
        (value,) = map(_word, columns)
        return _first_of([value.is_in(_words(words)) for words in (self.a, self.b, self.tie)])


@dataclass(frozen=True)
class ChosenFirst:
    """The outcome as the order of the responses: the first is the chosen one."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the file that this outcome needs: none."""
        return ()

    def label(self, columns: Sequence[pl.Expr]) -> pl.Expr:
        """Return the label, which is 0 throughout."""
        return pl.lit(0, pl.Int8)


Outcome = OneHotColumns | LabelColumn | ChosenFirst


def bare_numbers(outcome: Outcome, values: pl.Series) -> set[str]:
    """Return the values of a column where they are 0, 1 and 2 and nobody said what those mean.

    Examples
    --------
    >>> sorted(bare_numbers(LabelColumn("label"), pl.Series([1.0, 2.0, None])))
    ['1', '2']
    >>> bare_numbers(LabelColumn("label"), pl.Series(["a", "1"]))
    set()
    """
    if not isinstance(outcome, LabelColumn) or outcome != LabelColumn(outcome.column):
        return set()
    held = set(values.to_frame("value").select(_word(pl.col("value"))).to_series().drop_nulls())
    return held if held <= {"0", "1", "2"} else set()


def unknown_words(outcomes: pl.DataFrame) -> str:
    """Return the first different values of outcome columns, quoted, for a message.

    Examples
    --------
    >>> unknown_words(pl.DataFrame({"winner": ["left one", None, "left one"]}))
    "'left one', nothing"
    """
    if len(outcomes.columns) > 1:
        rows = outcomes.unique(maintain_order=True).head(_SHOWN).rows()
        return "; ".join(", ".join(map(_quoted, row)) for row in rows)
    values = outcomes.to_series().unique(maintain_order=True).head(_SHOWN)
    return ", ".join(map(_quoted, values))


def _quoted(value: object) -> str:
    return "nothing" if value is None or value == "" else repr(value)


def _first_of(hits: Iterable[pl.Expr]) -> pl.Expr:
    return pl.coalesce(
        pl.when(hit).then(pl.lit(outcome, pl.Int8)) for outcome, hit in enumerate(hits)
    )


def _word(cell: pl.Expr) -> pl.Expr:
    return _plain(cell.cast(pl.String))


def _words(words: str | Sequence[str]) -> pl.Series:
    given = [words] if isinstance(words, str) else list(words)
    return pl.select(_plain(pl.lit(pl.Series(given, dtype=pl.String)))).to_series().implode()


def _plain(text: pl.Expr) -> pl.Expr:
    """Lower case, one underscore for blanks, hyphens and brackets, and ``1.00`` as ``1``.

    The sign of a number is no hyphen: ``-1`` is not ``1``.
    """
    return (
        text.str.to_lowercase()
        .str.replace(r"^\s*-\s*([0-9.])", "minus $1")
        .str.replace_all(r"[\s_()\[\]-]+", "_")
        .str.strip_chars("_")
        .str.replace(r"^\+?0*(\d+)\.0*$|^\+?0*(\d+)$", "$1$2")
    )
