"""A submission's CSV: made whole, validated before anyone sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES, TIE
from featlab.errors import SubmissionError
from featlab.files import atomic_path
from models.probabilities import Probabilities

COLUMNS = ("id", *PROBABILITIES)
WINNERS = ("model_a", "model_b", "tie")
"""What a column that names the winner says."""

_TOLERANCE = 1e-9


def submission_columns(
    layout: str, outcomes: Sequence[str], asked: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the columns beside ``id``: one for the winner, or one for each outcome.

    Parameters
    ----------
    layout : str
        The training file's; the WSDM cup wants the winner's name where there
        are two outcomes.
    outcomes : sequence of str
        Those that are predicted.
    asked : sequence of str, optional
        Names in place of the layout's own.

    Raises
    ------
    SubmissionError
        When as many columns as are asked for cannot be filled.

    Examples
    --------
    >>> submission_columns("wsdm", ["a", "b"]), submission_columns("arena-140k", ["a", "b"])
    (('winner',), ('winner_model_a', 'winner_model_b'))
    """
    if asked:
        if len(asked) not in (1, len(outcomes)) or len({"id", *asked}) <= len(asked):
            raise SubmissionError(
                f"--out-columns {' '.join(asked)}: give one name, for the winner, or "
                f"{len(outcomes)} different ones, for the probabilities of {', '.join(outcomes)}"
            )
        return tuple(asked)
    if layout == "wsdm" and len(outcomes) == TIE:
        return ("winner",)
    return PROBABILITIES[: len(outcomes)]


def submission_frame(
    ids: pl.Series, probabilities: Probabilities, columns: Sequence[str] = PROBABILITIES
) -> pl.DataFrame:
    """``id`` and the probabilities, or the likeliest outcome where there is one column.

    Examples
    --------
    >>> submission_frame(pl.Series([7]), np.array([[0.5, 0.3, 0.2]])).row(0)
    (7, 0.5, 0.3, 0.2)
    >>> submission_frame(pl.Series([7]), np.array([[0.4, 0.6, 0.0]]), ["winner"]).row(0)
    (7, 'model_b')
    """
    if len(columns) == 1:
        winners = [WINNERS[outcome] for outcome in probabilities.argmax(axis=1)]
        return pl.DataFrame({"id": ids, columns[0]: pl.Series(winners, dtype=pl.String)})
    values = {name: probabilities[:, index] for index, name in enumerate(columns)}
    return pl.DataFrame({"id": ids, **values})


def validate_submission(
    submission: pl.DataFrame, ids: pl.Series, columns: Sequence[str] = PROBABILITIES
) -> None:
    """Check everything a grader would refuse.

    Parameters
    ----------
    submission : DataFrame
    ids : Series
        The test file's.
    columns : sequence of str
        Those that there must be beside ``id``.

    Raises
    ------
    SubmissionError
        For a wrong header, missing, repeated or reordered ids, winners that are
        none, and probabilities that are not finite, outside [0, 1] or do not
        sum to 1.

    Examples
    --------
    >>> ids = pl.Series([7])
    >>> validate_submission(submission_frame(ids, np.array([[0.5, 0.4, 0.2]])), ids)
    Traceback (most recent call last):
        ...
    featlab.errors.SubmissionError: probabilities do not sum to 1 (first ids: 7)
    """
    header = ["id", *columns]
    if submission.columns != header:
        raise SubmissionError(
            f"the header is {','.join(submission.columns)}, not {','.join(header)}"
        )
    if submission["id"].is_duplicated().any():
        raise SubmissionError("ids repeat" + _first(submission, submission["id"].is_duplicated()))
    if not submission["id"].cast(pl.String).equals(ids.cast(pl.String)):
        raise SubmissionError("ids are not those of the test file in its order")
    if len(columns) == 1:
        known = submission[columns[0]].is_in(WINNERS)
        if not known.all():
            raise SubmissionError("winners are unknown" + _first(submission, ~known))
        return
    values = submission.select(columns).to_numpy()
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise SubmissionError("probabilities are not finite" + _first(submission, ~finite))
    inside = ((values >= 0) & (values <= 1)).all(axis=1)
    if not inside.all():
        raise SubmissionError("probabilities lie outside [0, 1]" + _first(submission, ~inside))
    whole = np.abs(values.sum(axis=1) - 1) <= _TOLERANCE
    if not whole.all():
        raise SubmissionError("probabilities do not sum to 1" + _first(submission, ~whole))


def _first(submission: pl.DataFrame, wrong: object) -> str:
    ids = submission.filter(wrong)["id"].head(5)  # type: ignore[arg-type]
    return f" (first ids: {', '.join(map(str, ids))})"


def write_submission(
    submission: pl.DataFrame,
    ids: pl.Series,
    target: Path,
    columns: Sequence[str] = PROBABILITIES,
) -> None:
    """Validate, write atomically, and validate what was written.

    Raises
    ------
    SubmissionError
        See `validate_submission`; an existing file is then left as it was.
    """
    validate_submission(submission, ids, columns)
    with atomic_path(target) as path:
        submission.write_csv(path)
        written = pl.read_csv(path, schema_overrides=submission.schema, glob=False)
        validate_submission(written, ids, columns)
