"""Say why battles are predicted as they are: ``python -m pipelines.explain``."""

from __future__ import annotations

from featlab.progress import task
from pipelines.run.asking import asked_file, hand_over, loaded
from pipelines.run.console import run_command
from pipelines.run.settings import ExplainSettings


def main(settings: ExplainSettings) -> None:
    """Print the reasons of one battle, or write those of a file as CSV."""
    model, pair = loaded(settings), settings.pair()
    if pair is not None:
        print(model.explain(*pair))
        return
    source, count = asked_file(model, settings)
    with task("explaining", count) as advance:
        reasons = model.explain_all(source, advance)
    hand_over(reasons, settings.out, f"{count:,} battles explained")


if __name__ == "__main__":
    run_command(main, ExplainSettings, "python -m pipelines.explain")
