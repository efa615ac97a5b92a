"""Say why battles are predicted as they are: ``python -m pipelines.explain``."""

from __future__ import annotations

import sys

import models
from featlab.files import atomic_path
from featlab.progress import note, task
from pipelines.run.battle_source import read_source
from pipelines.run.console import run_command
from pipelines.run.given_files import files_to_read
from pipelines.run.settings import ExplainSettings


def main(settings: ExplainSettings) -> None:
    """Print the reasons of one battle, or write those of a file as CSV."""
    model = models.load(settings.run, settings.trust, files_to_read(settings.given))
    pair = settings.pair()
    if pair is not None:
        print(model.explain(*pair))
        return
    battles = model.read(read_source(settings.file or "")).collect()
    with task("explaining", len(battles)) as advance:
        reasons = model.explain_all(battles, advance)
    if settings.out is None:
        reasons.write_csv(sys.stdout)
        return
    with atomic_path(settings.out) as path:
        reasons.write_csv(path)
    note(f"{len(battles):,} battles explained: {settings.out}")


if __name__ == "__main__":
    run_command(main, ExplainSettings, "python -m pipelines.explain")
