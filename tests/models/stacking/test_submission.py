from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.errors import SubmissionError
from models.stacking.submission import submission_frame, validate_submission, write_submission


@pytest.mark.parametrize("count", [1, 3, 25_000])
def test_what_is_written_reads_back_as_it_was(tmp_path: Path, count: int) -> None:
    ids = pl.Series("id", np.random.default_rng(0).permutation(count) + 10**9)
    stated = np.random.default_rng(1).dirichlet([1, 1, 1], size=count)
    target = tmp_path / "submission.csv"
    write_submission(submission_frame(ids, stated), ids, target)
    assert target.read_text().splitlines()[0] == "id,winner_model_a,winner_model_b,winner_tie"
    back = pl.read_csv(target)
    assert back["id"].to_list() == ids.to_list()
    assert np.array_equal(back.drop("id").to_numpy(), stated)


def test_text_ids_stay_as_they_are(tmp_path: Path) -> None:
    ids = pl.Series("id", ["007", "b"])
    write_submission(submission_frame(ids, np.full((2, 3), 1 / 3)), ids, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines()[1].startswith("007,")


GOOD = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.rename({"winner_tie": "tie"}), "header"),
        (lambda frame: frame.select(reversed(frame.columns)), "header"),
        (lambda frame: frame.with_columns(id=pl.lit(1)), "repeat"),
        (lambda frame: frame.reverse(), "order"),
        (lambda frame: frame.head(1), "order"),
        (lambda frame: frame.with_columns(winner_tie=pl.lit(float("nan"))), "not finite"),
        (lambda frame: frame.with_columns(winner_tie=pl.col("winner_tie") + 1e-6), "sum to 1"),
        (
            lambda frame: frame.with_columns(winner_tie=pl.lit(-0.5), winner_model_a=pl.lit(1.2)),
            "outside",
        ),
    ],
)
def test_what_a_grader_would_refuse_is_refused_here(change, message: str, tmp_path: Path) -> None:
    ids = pl.Series("id", [1, 2])
    wrong = change(submission_frame(ids, GOOD))
    with pytest.raises(SubmissionError, match=message):
        validate_submission(wrong, ids)
    target = tmp_path / "submission.csv"
    target.write_text("earlier")
    with pytest.raises(SubmissionError):
        write_submission(wrong, ids, target)
    assert target.read_text() == "earlier"
