"""Cells that only Python can decode or blame, inside a query that stays lazy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
from polars._typing import PolarsDataType

from featlab.errors import BattleError, FeatlabError

_SHOWN = 5
_RAISED: dict[str, BattleError] = {}


class CellError(BattleError):
    """A `BattleError` raised while a query runs.

    The engine makes an exception again from its text alone and adds a line of
    its own, so the text is what an error is found by.
    """

    def __init__(self, text: str) -> None:
        sentence = text.partition("\n\n")[0]
        known = _RAISED.get(sentence)
        FeatlabError.__init__(self, sentence)
        self.problem = known.problem if known else sentence
        self.source = known.source if known else ""
        self.column = known.column if known else None
        self.rows = known.rows if known else ()

    @classmethod
    def like(cls, error: BattleError) -> CellError:
        """Return an error that says the same and passes through the engine."""
        if len(_RAISED) > 100:
            _RAISED.clear()
        _RAISED[str(error)] = error
        return cls(str(error))


@dataclass(frozen=True)
class Origin:
    """Where cells come from: how errors name file, columns and rows.

    Parameters
    ----------
    source : str
        The file, or a description of the frame.
    columns : dict of str to str
        Name in the query -> name in the file, where they differ.
    identity : str, optional
        The column of the query whose values name the rows.
    """

    source: str = "frame"
    columns: dict[str, str] = field(default_factory=dict)
    identity: str | None = None


def decoded_cells(
    name: str,
    decode: Callable[[pl.DataFrame], pl.Series],
    problem: Callable[[str], str | None],
    dtype: PolarsDataType,
    origin: Origin,
    *,
    needs: tuple[str, ...] = (),
    remedy: str | None = None,
) -> pl.Expr:
    """Return a column of text, decoded batch by batch.

    Parameters
    ----------
    name : str
        The column.
    decode : callable of DataFrame
        Called with the columns `name` and `needs`; returns as many values.
    problem : callable of str
        Called with one cell after another when `decode` fails; says what is
        wrong with it, or nothing.
    dtype : polars data type
        Of what is returned.
    origin : Origin
        How errors name the cells.
    needs : tuple of str
        Columns that `decode` reads besides.
    remedy : str, optional
        What to do about a cell that is wrong.

    Raises
    ------
    BattleError
        On collection, with the first rows whose cells have a problem.
    """

    def run(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest()
        failure = "its cells do not decode"
        try:
            values = decode(frame)
            if len(values) == len(frame):
                return values
        except (pl.exceptions.PolarsError, ValueError, RecursionError) as error:
            failure = f"cannot be decoded: {str(error).splitlines()[0]}"
        ids = frame[origin.identity] if origin.identity in frame.columns else range(len(frame))
        found: dict[str, list[object]] = {}
        for row, cell in zip(ids, frame[name], strict=True):
            said = None if cell is None else problem(cell)
            if said is not None:
                found.setdefault(said, []).append(row)
        said, broken = next(iter(found.items()), (failure, []))
        raise CellError.like(
            BattleError(
                said,
                source=origin.source,
                column=origin.columns.get(name, name),
                rows=broken[:_SHOWN],
                remedy=remedy,
            )
        )

    read = dict.fromkeys((name, *needs, *([origin.identity] if origin.identity else [])))
    struct = pl.struct(*map(pl.col, read))
    return struct.map_batches(run, return_dtype=dtype, is_elementwise=True).alias(name)
