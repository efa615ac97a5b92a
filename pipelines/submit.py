"""Predict a test file: ``python -m pipelines.submit``. Needs no network and no training data."""

from __future__ import annotations

from featlab.battles import (
    BattleSchema,
    check_battles,
    decode_once,
    explained,
    fitting,
    read_battles,
)
from featlab.files import check_output
from featlab.progress import note, task
from models.stacking.bundle import load_bundle
from models.stacking.submission import submission_columns, submission_frame, write_submission
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.given_files import trained_given, with_given
from pipelines.run.settings import SubmitSettings


def main(settings: SubmitSettings) -> None:
    """Write the submission for the battles of the test file."""
    check_output(settings.out, settings.test)
    run = RunFolder(settings.run)
    predictor, trained = load_bundle(run.bundle, settings.trust)
    predictor = with_given(predictor, settings.given, trained_given(run))
    columns = submission_columns(trained.layout, predictor.outcomes, settings.out_columns)
    schema = schema_of_test(settings, trained)
    if schema.id is None:
        note(f"{settings.test.name}: there is no column of ids; rows are numbered from 0")
    decode_once(settings.test, schema)
    count = check_battles(settings.test, schema, outcomes=False)
    battles = read_battles(settings.test, schema, outcomes=False)
    predictor.look_for(battles, with_ids=schema.id is not None)
    if known := predictor.trained_on:
        overlap = known.overlap(battles)
        if overlap.ids or overlap.texts:
            note(str(overlap))
    with explained(settings.test, schema), task("predicting", count) as advance:
        ids, probabilities = predictor.predict(battles, advance)
    write_submission(submission_frame(ids, probabilities, columns), ids, settings.out, columns)
    note(f"{count} battles predicted: {settings.out}")


def schema_of_test(settings: SubmitSettings, trained: BattleSchema) -> BattleSchema:
    """Return how the test file is read: as said, as the training file was, or as recognised."""
    if settings.battles.by_hand:
        return settings.battles.recognised(settings.test).schema
    found = fitting(settings.test, trained, outcomes=False)
    if found.schema.layout != trained.layout:
        note(f"{settings.test.name}: layout {found.schema.layout}, since {found.reason}")
    return found.schema


if __name__ == "__main__":
    run_command(main, SubmitSettings, "python -m pipelines.submit")
