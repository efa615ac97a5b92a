"""Figures of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from featlab.files import atomic_path


def draw_study(study: optuna.Study, target: Path) -> None:
    """Every trial's loss and the best so far, pruned trials marked at their last value."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    numbers = np.array([trial.number for trial in complete])
    losses = np.array([trial.value for trial in complete], dtype=float)
    axes.plot(numbers, losses, "o", color="#0072B2", label=f"finished ({len(complete)})")
    axes.step(
        numbers, np.minimum.accumulate(losses), where="post", color="#D55E00", label="best so far"
    )
    last = [max(trial.intermediate_values.items())[1] for trial in pruned]
    axes.plot(
        [trial.number for trial in pruned],
        last,
        "x",
        color="#999999",
        label=f"pruned ({len(pruned)}), mean of the folds seen",
    )
    low, high = losses.min(), max(np.quantile([*losses, *last], 0.9), losses.min() + 1e-3)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes.set_xlabel("trial")
    axes.set_ylabel("log loss, mean over folds (nats)")
    axes.set_title(f"Search: the best of {len(complete) + len(pruned)} trials reaches {low:.4f}")
    axes.legend(frameon=False)
    with atomic_path(target) as path:
        figure.savefig(path, format="png", dpi=150)
