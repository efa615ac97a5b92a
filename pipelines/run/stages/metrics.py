"""What the ensemble is worth: ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from featlab.columns import Column
from featlab.files import write_json
from featlab.progress import note, task
from models.evaluation.ensemble import measure_ensemble
from pipelines.run.stages.blend import read_members
from pipelines.run.stages.search import read_search
from pipelines.run.training import TableFiles, read_table


def make_metrics(
    *,
    table: TableFiles,
    members: Path,
    found: Path,
    metrics: Path,
    signals: Mapping[str, Sequence[Column]],
    other_foldings: int,
    deadline: float,
    seed: int,
) -> None:
    """Measure the ensemble, its members, and what every signal adds.

    Parameters
    ----------
    members, found : Path
        Their raw predictions, and what the search found.
    metrics : Path
        JSON to write.
    other_foldings, seed : int
    deadline : float
        As `models.evaluation.ensemble.measure_ensemble` takes them.
    """
    steps = len(signals) * (2 if len(signals) > 1 else 1)
    with task("metrics", steps) as advance:
        measured = measure_ensemble(
            read_table(table, signals),
            signals,
            read_members(members),
            read_search(found),
            seed,
            other_foldings=other_foldings,
            on_step=advance,
            deadline=deadline,
        )
    for what, made in (("alone", measured["signals"]), ("left out", measured["without"])):
        missing = [name for name in signals if name not in made]
        if missing and len(signals) > 1:
            note(f"budget: no time to measure the ensemble with {', '.join(missing)} {what}")
    write_json(metrics, measured)
