"""Predict a test file: ``python -m pipelines.submit``. Needs no network and no training data."""

from __future__ import annotations

from featlab.battles import check_battles, explained, read_battles
from featlab.progress import note, task
from models.stacking.bundle import load_bundle
from models.stacking.submission import submission_frame, write_submission
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.given_files import trained_given, with_given
from pipelines.run.settings import SubmitSettings


def main(settings: SubmitSettings) -> None:
    """Write the competition's CSV for the battles of the test file."""
    run = RunFolder(settings.run)
    predictor, schema = load_bundle(run.bundle, settings.trust)
    predictor = with_given(predictor, settings.given, trained_given(run))
    count = check_battles(settings.test, schema)
    if known := predictor.trained_on:
        overlap = known.overlap(read_battles(settings.test, schema))
        if overlap.ids or overlap.texts:
            note(str(overlap))
    with explained(settings.test, schema), task("predicting", count) as advance:
        ids, probabilities = predictor.predict(read_battles(settings.test, schema), advance)
    write_submission(submission_frame(ids, probabilities), ids, settings.out)
    note(f"{count} battles predicted: {settings.out}")


if __name__ == "__main__":
    run_command(main, SubmitSettings, "python -m pipelines.submit")
