"""The competition's CSV: made whole, validated before anyone sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from featlab.battles import PROBABILITIES
from featlab.errors import SubmissionError
from featlab.files import atomic_path
from models.probabilities import Probabilities

COLUMNS = ("id", *PROBABILITIES)
_TOLERANCE = 1e-9


def submission_frame(ids: pl.Series, probabilities: Probabilities) -> pl.DataFrame:
    """``id`` and the three probabilities under the competition's names.

    Examples
    --------
    >>> submission_frame(pl.Series([7]), np.array([[0.5, 0.3, 0.2]])).row(0)
    (7, 0.5, 0.3, 0.2)
    """
    columns = {name: probabilities[:, index] for index, name in enumerate(PROBABILITIES)}
    return pl.DataFrame({"id": ids, **columns})


def validate_submission(submission: pl.DataFrame, ids: pl.Series) -> None:
    """Check everything the competition's grader would refuse.

    Raises
    ------
    SubmissionError
        For a wrong header, missing, repeated or reordered ids, and
        probabilities that are not finite, outside [0, 1] or do not sum to 1.

    Examples
    --------
    >>> ids = pl.Series([7])
    >>> validate_submission(submission_frame(ids, np.array([[0.5, 0.4, 0.2]])), ids)
    Traceback (most recent call last):
        ...
    featlab.errors.SubmissionError: probabilities do not sum to 1 (first ids: 7)
    """
    if tuple(submission.columns) != COLUMNS:
        raise SubmissionError(
            f"the header is {','.join(submission.columns)}, not {','.join(COLUMNS)}"
        )
    if submission["id"].is_duplicated().any():
        raise SubmissionError("ids repeat" + _first(submission, submission["id"].is_duplicated()))
    if not submission["id"].cast(pl.String).equals(ids.cast(pl.String)):
        raise SubmissionError("ids are not those of the test file in its order")
    values = submission.select(PROBABILITIES).to_numpy()
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


def write_submission(submission: pl.DataFrame, ids: pl.Series, target: Path) -> None:
    """Validate, write atomically, and validate what was written.

    Raises
    ------
    SubmissionError
        See `validate_submission`; an existing file is then left as it was.
    """
    validate_submission(submission, ids)
    with atomic_path(target) as path:
        submission.write_csv(path)
        validate_submission(pl.read_csv(path, schema_overrides={"id": submission["id"].dtype}), ids)
