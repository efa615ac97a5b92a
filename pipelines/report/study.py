"""Figures of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState

from featlab.files import atomic_path


def draw_study(study: optuna.Study, target: Path) -> None:
    """Every finished trial's loss and the best so far; pruned trials as ticks along the top."""
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
    # A pruned trial saw some folds only, so its mean cannot stand on the same scale.
    axes.plot(
        [trial.number for trial in pruned],
        [1.0] * len(pruned),
        "|",
        color="#777777",
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        label=f"pruned ({len(pruned)})",
    )
    low = losses.min()
    high = max(np.quantile(losses, 0.95), low + 1e-3)
    axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes.set_xlabel("trial")
    axes.set_ylabel("log loss, mean over folds (nats)")
    axes.set_title(f"Search: the best of {len(complete) + len(pruned)} trials reaches {low:.4f}")
    axes.legend(frameon=False)
    with atomic_path(target) as path:
        figure.savefig(path, format="png", dpi=150)
