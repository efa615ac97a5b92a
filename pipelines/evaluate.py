"""Measure a run on labelled battles that it has not learned from: ``python -m pipelines.evaluate``.

Every metric comes with an interval over resampled prompts, and the loss once
more by slices of the battles.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from featlab.battles import TIE
from featlab.errors import BattleError
from featlab.files import write_json
from featlab.progress import note, task
from featlab.signals.outcomes import Outcomes
from models.analysis.predictions import FEWEST, loss_by_slice, quantile_slices
from models.evaluation.metrics import evaluate
from models.probabilities import Labels, Probabilities, prior, row_log_loss
from pipelines.run.asking import asked_file, loaded
from pipelines.run.console import run_command
from pipelines.run.settings import EvaluateSettings


def main(settings: EvaluateSettings) -> None:
    """Print the metrics and the slices, and keep all of them where that is asked for."""
    model = loaded(settings)
    source, _ = asked_file(model, settings, outcomes=True)
    battles = model.read(source, outcomes=True).collect()
    with_ids = model.schema_of(source, outcomes=True).id is not None
    model.ensemble.look_for(battles.lazy(), with_ids=with_ids)
    if len(model.ensemble.outcomes) == TIE and (battles["label"] == TIE).any():
        raise BattleError(
            "holds ties, to which an ensemble that was trained without any gives no chance",
            source=settings.file,
        )
    if len(battles) < FEWEST:
        raise BattleError(
            f"holds {len(battles)} battles, too few for a figure; {FEWEST} are the least",
            source=settings.file,
        )
    if known := model.ensemble.trained_on:
        note(str(known.overlap(battles.lazy())))
    with task("predicting", len(battles)) as advance:
        _, probabilities = model.ensemble.predict(battles.lazy(), advance)
    outcomes = Outcomes.of(battles)
    labels, groups = outcomes.labels, outcomes.groups
    found = evaluate(probabilities, labels, groups, settings.seed)
    reference = row_log_loss(np.tile(prior(labels), (len(labels), 1)), labels)
    slices = loss_by_slice(
        slices_of(battles, probabilities, labels),
        row_log_loss(probabilities, labels),
        reference,
        groups,
    )
    for name in ("log_loss", "accuracy"):
        value = found[name]
        print(f"{name:<28}{value['value']:.4f}    {value['low']:.4f} to {value['high']:.4f}")
    print(f"{'calibration_error':<28}{found['expected_calibration_error']:.4f}")
    print(f"{'the shares of this file':<28}{reference.mean():.4f}")
    print(f"\n{'slice':<28}log loss  95 % interval     the shares  battles")
    for row in slices.iter_rows(named=True):
        interval = f"{row['low']:.4f} to {row['high']:.4f}"
        print(
            f"{row['slice']:<28}{row['log_loss']:.4f}    {interval}  {row['reference']:.4f}"
            f"  {row['battles']:>9,}"
        )
    if settings.out is not None:
        write_json(settings.out, {**found, "slices": slices.to_dicts()})
        note(f"all of it: {settings.out}")


def slices_of(
    battles: pl.DataFrame, probabilities: Probabilities, labels: Labels
) -> dict[str, pl.Series]:
    """Return dimension -> slice of each battle, from what every file of battles has."""
    lengths = [battles[f"response_{side}"].list.join("").str.len_chars() for side in "ab"]
    a, b = (length.cast(pl.Float64).to_numpy() for length in lengths)
    several = (battles["prompt"].list.len() > 1).to_numpy()
    unlike = np.abs(np.log1p(a) - np.log1p(b)) > 0.3
    apart = np.abs(probabilities[:, 0] - probabilities[:, 1])
    return {
        "outcome": _named(("voted A", "voted B", "voted a tie"), labels),
        "turns": _named(("one turn", "two turns or more"), several),
        "length": quantile_slices(a + b, 4, "characters:"),
        "lengths": _named(("like lengths", "unlike lengths"), unlike),
        "closeness": quantile_slices(apart.round(3), 4, "|P(A) - P(B)|:"),
        "tie": quantile_slices(probabilities[:, 2].round(3), 3, "P(tie):"),
    }


def _named(names: tuple[str, ...], numbers: object) -> pl.Series:
    chosen = [names[number] for number in np.asarray(numbers).astype(int)]
    return pl.Series(chosen, dtype=pl.Enum(names))


if __name__ == "__main__":
    run_command(main, EvaluateSettings, "python -m pipelines.evaluate")
