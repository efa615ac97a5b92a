"""How long the encoder's part of a run will take, from a measured warm-up: ``--dry-run``."""

from __future__ import annotations

import numpy as np
import polars as pl

from featlab.battles import explained, read_battles
from featlab.progress import clock
from pipelines.extra_battles import load_extra
from pipelines.features import training_file
from pipelines.run.console import say
from pipelines.run.folder import RunFolder
from pipelines.run.presets import Recipe
from pipelines.run.settings import TrainSettings

SHARE_OF_FORWARD = 1 / 3
"""What reading a token costs beside training on it: one pass forward of forward and backward."""

EMBEDDED_AGAIN = 2
"""The embedding signal reads each response with its prompt, as fine-tuning does, and alone."""


def estimate_run(settings: TrainSettings, recipe: Recipe) -> None:
    """Print the expected time of embedding, fine-tuning and reading the held-out folds.

    The stacker's search is not in it: it takes minutes, and shows its own time left.
    """
    if recipe.encoder is None:
        say("no signal of this run needs an encoder; the rest takes minutes")
        return
    # torch takes seconds to import, which only an estimate for an encoder should cost.
    from models.preference.training_estimate import estimate_fine_tuning

    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()
    with explained(source, schema):
        battles = read_battles(source, schema, require_outcome=True).collect()
    folds = pl.read_parquet(RunFolder(settings.run).folds)["fold"].to_numpy()
    training = battles[np.flatnonzero(folds != 0)].with_columns(pl.col("id").cast(pl.String))
    extra = load_extra(settings, battles)
    if extra is not None:
        training = pl.concat([training, extra.frame[extra.folds != 0]], how="diagonal_relaxed")
    found = estimate_fine_tuning(training, recipe.encoder, settings.encoder.fine_tuning())
    read = len(battles) + (len(extra.frame) if extra else 0)
    per_battle = found.tokens / settings.encoder.epochs / len(training)
    reading = read * per_battle * SHARE_OF_FORWARD / found.tokens_per_second
    total = 0.0
    if "encoder" in recipe.signals:
        total += settings.folds * found.seconds + reading
        say(f"fine-tuning: {settings.folds} folds, each {found}")
    if "embedding" in recipe.signals:
        embedding = EMBEDDED_AGAIN * reading
        total += embedding
        say(f"embedding: about {clock(embedding)} for texts that the store does not hold yet")
    say(f"estimate, without the stacker's search: {clock(total)}")
