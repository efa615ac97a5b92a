"""What the ensemble is worth: ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from featlab.columns import Column
from featlab.files import write_json
from featlab.progress import task
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
    repeats: int,
    other_foldings: int,
    seed: int,
) -> None:
    """Measure the ensemble, its members, and what every signal adds.

    Parameters
    ----------
    members, found : Path
        Their raw predictions, and what the search found.
    metrics : Path
        JSON to write.
    repeats, other_foldings, seed : int
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
            repeats=repeats,
            other_foldings=other_foldings,
            on_step=advance,
        )
    write_json(metrics, measured)
