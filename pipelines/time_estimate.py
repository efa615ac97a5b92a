"""How long the slow signals of a run will take, from a measured warm-up: ``--dry-run``."""

from __future__ import annotations

from featlab.progress import clock, note
from featlab.signals.outcomes import TRAINING_ONLY
from pipelines.run.battle_files import BattleFiles, read_outcomes, scan_battles
from pipelines.run.folder import RunFolder
from pipelines.run.presets import Recipe


def estimate_run(files: RunFolder, recipe: Recipe, training: BattleFiles) -> None:
    """Print the expected time of every signal that measures one, and of all together.

    The search is not in it: it takes minutes, and shows its own time left.
    """
    battles = scan_battles(training.battles, training.extra).drop(TRAINING_ONLY, strict=False)
    outcomes, folds, _ = read_outcomes(training)
    total = 0.0
    for name, kind in recipe.kinds.items():
        signal = kind.from_settings(recipe.context_of(name, files), 0)
        seconds = signal.expected_seconds(battles, outcomes, folds)
        if seconds is not None:
            note(f"{name}: about {clock(seconds)}")
            total += seconds
    note(
        f"estimate, without the search: {clock(total)}"
        if total
        else "no signal of this run takes more than minutes"
    )
