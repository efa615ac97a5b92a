"""The search for the trees' parameters, in a study that an interruption does not lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from featlab.columns import Column
from featlab.files import fingerprints, read_json, value_fingerprint, write_json
from featlab.progress import note, task
from models.stacking.search import SearchResult, open_study, search
from models.stacking.trees import BoostingParameters
from pipelines.run.code import code_fingerprint
from pipelines.run.stages.kernel import read_kernel_out_of_fold
from pipelines.run.training import TableFiles, read_table


def make_search(
    *,
    table: TableFiles,
    kernel: Path,
    found: Path,
    journal: Path,
    signals: Mapping[str, Sequence[Column]],
    trials: int,
    deadline: float,
    seed: int,
) -> None:
    """Run the trials that are missing, and write down the best.

    Parameters
    ----------
    kernel : Path
        What the kernel says out of fold; trials are scored by the blend with it.
    found : Path
        JSON to write.
    journal : Path
        Optuna's journal; a study of the same data, code and seed in it goes on.
    trials : int
        How many trials there shall be.
    deadline : float
        A time of `time.monotonic` after which no further one begins.
    """
    data = [*fingerprints(table).values(), *fingerprints(kernel).values()]
    columns = [
        (column.name, column.parity, column.kind) for group in signals.values() for column in group
    ]
    same = value_fingerprint([data, columns, code_fingerprint([search.__module__]), seed])
    name = f"blend-{same[:16]}"
    study = open_study(journal, name)
    note(
        f"study {name} in {journal}; watch it with: optuna-dashboard {journal}, "
        "which pip install .[dashboard] brings"
    )
    with task("search", trials) as advance:
        result = search(
            read_table(table, signals),
            study,
            trials,
            seed,
            lambda done, best: advance(done, f"best {best:.4f}"),
            kernel=read_kernel_out_of_fold(kernel),
            deadline=deadline,
        )
    if (ended := result.finished + result.pruned) < trials:
        note(f"budget: {ended} of {trials} trials")
    write_json(found, {"study": name, **asdict(result)})


def read_search(found: Path) -> SearchResult:
    """Return what the search of a run found."""
    values = read_json(found)
    del values["study"]
    losses = {int(trial): tuple(each) for trial, each in values.pop("fold_losses").items()}
    parameters = BoostingParameters(**values.pop("parameters"))
    return SearchResult(parameters=parameters, fold_losses=losses, **values)
