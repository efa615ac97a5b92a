"""Predict one battle or a file of them: ``python -m pipelines.predict``."""

from __future__ import annotations

from featlab.progress import note, task
from pipelines.run.asking import asked_file, hand_over, loaded
from pipelines.run.console import run_command
from pipelines.run.settings import PredictSettings


def main(settings: PredictSettings) -> None:
    """Print the probabilities of one battle, or write those of a file as CSV."""
    model, pair = loaded(settings), settings.pair()
    if pair is not None:
        print(
            "  ".join(f"{name} {p:.4f}" for name, p in model.predict_one(*pair)._asdict().items())
        )
        return
    source, count = asked_file(model, settings)
    if known := model.ensemble.trained_on:
        overlap = known.overlap(model.read(source))
        if overlap.ids or overlap.texts:
            note(str(overlap))
    with task("predicting", count) as advance:
        predicted = model.predict(source, advance)
    hand_over(predicted, settings.out, f"{len(predicted):,} battles predicted")


if __name__ == "__main__":
    run_command(main, PredictSettings, "python -m pipelines.predict")
