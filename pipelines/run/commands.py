"""Every command in the order of a user's day: what it does, and how it is called."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.run import settings
from pipelines.run.command_settings import CommandSettings


@dataclass(frozen=True)
class Command:
    """One command.

    Parameters
    ----------
    sentence : str
        What it does.
    settings : str
        The class of its settings in `pipelines.run.settings`.
    examples : tuple of str
        Options of two calls.
    """

    sentence: str
    settings: str
    examples: tuple[str, str]

    def settings_class(self) -> type[CommandSettings]:
        """Return the class of its settings."""
        found: type[CommandSettings] = getattr(settings, self.settings)
        return found


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "Run the whole main job on generated battles, whose best possible loss is known.",
        "DemoSettings",
        ("--run runs/demo", "--run runs/demo --battles-to-train 500 --trials 4"),
    ),
    "data": Command(
        "Fetch the training battles from Kaggle or from the hub.",
        "DataCommandSettings",
        ("--data data", "--source hub"),
    ),
    "features": Command(
        "Compute the text features of the training battles, or list them.",
        "FeatureSettings",
        ("--data data --run runs/default", "--list"),
    ),
    "train_ensemble": Command(
        "Train the ensemble; what is up to date is kept.",
        "TrainSettings",
        (
            "--data data --run runs/default",
            "--preset fast --given llm=llm_train.csv,llm_test.csv",
        ),
    ),
    "runs": Command(
        "List all run folders, the best first.",
        "RunsSettings",
        ("", "--root experiments"),
    ),
    "compare": Command(
        "Compare runs on the battles that they share, and say in what they differ.",
        "CompareSettings",
        ("runs/default runs/other", "runs/a runs/b runs/c --seed 1"),
    ),
    "evaluate": Command(
        "Measure a run on battles with outcomes that it has not learned from.",
        "EvaluateSettings",
        ("--run runs/default --file labelled.csv", "--file labelled.parquet --out metrics.json"),
    ),
    "predict": Command(
        "Predict one battle, or a file of them.",
        "PredictSettings",
        (
            "--run runs/default --prompt 'Is it so?' --response-a Yes. --response-b No.",
            "--run runs/default --file battles.jsonl --out predicted.csv",
        ),
    ),
    "explain": Command(
        "Say why a battle is predicted as it is, by families of columns.",
        "ExplainSettings",
        (
            "--run runs/default --prompt 'Is it so?' --response-a Yes. --response-b No.",
            "--run runs/default --file battles.csv --out reasons.csv",
        ),
    ),
    "play": Command(
        "Guess votes against the model, on a page that only this machine can open.",
        "PlaySettings",
        ("--run runs/default", "--run runs/default --port 8000"),
    ),
    "submit": Command(
        "Predict a test file into the competition's CSV; needs neither network nor training data.",
        "SubmitSettings",
        (
            "--run runs/default --test data/test.csv --out submission.csv",
            "--run runs/default --test data/test.csv --given llm=llm_test.csv",
        ),
    ),
    "report": Command(
        "Write a page on the battles, the biases and the model of a run.",
        "ReportSettings",
        ("--run runs/default", "--run runs/default --out report --no-examples"),
    ),
    "learning_curve": Command(
        "Measure the loss by the number of training battles.",
        "LearningCurveSettings",
        ("--run runs/default", "--run runs/default --draws 1"),
    ),
    "kaggle_kit": Command(
        "Pack a run for Kaggle, where there is no network.",
        "KaggleKitSettings",
        ("--run runs/default --owner me", "--run runs/default --owner me --sample data/test.csv"),
    ),
    "shard_features": Command(
        "Make a file of features for each of many battle files.",
        "ShardSettings",
        ("--shards 'in/*.parquet' --out shards", "--shards 'in/*.csv' --out shards --ray"),
    ),
}
