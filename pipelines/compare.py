"""Compare runs on the battles that they share: ``python -m pipelines.compare RUN RUN ...``.

Out-of-fold losses are paired battle by battle, with intervals over resampled
prompts: whether a change helps shows in the difference long before it shows in
the losses. What differs between the runs stands below.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from featlab.errors import ConfigError
from models.analysis.predictions import FEWEST
from models.evaluation.metrics import bootstrap_mean, paired_difference
from models.probabilities import row_log_loss
from pipelines.run.changes import changed, read_config
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.out_of_fold import read_out_of_fold, require_common_ids, three_outcomes
from pipelines.run.run import require_finished
from pipelines.run.settings import CompareSettings


def main(settings: CompareSettings) -> None:
    """Print losses, paired differences to the first run, and what differs."""
    runs = [RunFolder(path) for path in settings.runs]
    if len(runs) < 2:
        raise ConfigError("comparing takes two run folders or more")
    manifests = [require_finished(run, "battles", "folds", "blend") for run in runs]
    require_common_ids(runs)
    frames = [read_out_of_fold(run) for run in runs]
    folds = pl.read_parquet(runs[0].folds, glob=False)
    groups = folds.select(pl.col("id").cast(pl.String), "group")
    shared = groups.join(frames[0].select("id", "label"), on="id")
    for frame in frames[1:]:
        shared = shared.join(frame.select("id", "label"), on=["id", "label"], how="semi")
    print(f"{len(shared):,} battles shared, of {', '.join(f'{len(f):,}' for f in frames)}")
    if len(shared) < FEWEST:
        raise ConfigError(f"the runs share {len(shared)} battles, too few for a figure")
    labels, prompts = shared["label"].to_numpy().astype(np.int64), shared["group"].to_numpy()
    stated = [
        three_outcomes(shared.select("id").join(frame, on="id", maintain_order="left"))
        for frame in frames
    ]
    print(f"{'run':<28}log loss  95 % interval     less the first's")
    for run, probabilities in zip(runs, stated, strict=True):
        loss = bootstrap_mean(row_log_loss(probabilities, labels), prompts, settings.seed)
        line = f"{run.path!s:<28}{loss.value:.4f}    {loss.low:.4f} to {loss.high:.4f}"
        if run is not runs[0]:
            gap = paired_difference(probabilities, stated[0], labels, prompts, settings.seed)
            line += f"  {gap.value:+.4f}  {gap.low:+.4f} to {gap.high:+.4f}"
        print(line)
    for run, manifest in zip(runs[1:], manifests[1:], strict=True):
        print(f"\n{runs[0].path} -> {run.path}")
        for line in differences(runs[0], manifests[0], run, manifest) or ["nothing differs"]:
            print(f"  {line}")


def differences(
    first: RunFolder, made_first: dict[str, Any], second: RunFolder, made_second: dict[str, Any]
) -> list[str]:
    """Return what differs in settings, data, code and versions, a line each."""
    lines = changed(read_config(first), read_config(second), "setting")
    stages, others = made_first["stages"], made_second["stages"]
    data = [list(stage["battles"]["made_from"]["inputs"].values()) for stage in (stages, others)]
    if data[0] != data[1]:
        lines.append("data: the training files differ")
    both = [name for name in stages if name in others]
    code = [n for n in both if stages[n]["made_from"]["code"] != others[n]["made_from"]["code"]]
    if code:
        lines.append(f"code: of {', '.join(code)}")
    return lines + changed(made_first["versions"], made_second["versions"], "version")


if __name__ == "__main__":
    run_command(main, CompareSettings, "python -m pipelines.compare")
