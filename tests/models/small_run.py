"""A small run's bundle, made within seconds: what is asked of a trained predictor needs one."""

from pathlib import Path

import numpy as np
import polars as pl

from featlab.battles import ARENA, read_battles
from featlab.battles.folds import make_folds
from featlab.signals import Context, Outcomes
from featlab.signals.lexical import LexicalSignal
from featlab.signals.text import TextSignal
from models.stacking.blend import fit_blend
from models.stacking.bundle import save_bundle
from models.stacking.out_of_fold import out_of_fold
from models.stacking.predictor import Predictor
from models.stacking.table import Table, stacked_columns, stacked_frame
from models.stacking.trained_on import TrainedOn
from tests.models.conftest import QUICK


def make_run(raw: pl.DataFrame, folder: Path) -> Path:
    """Train on raw battles, and write the bundle into a run folder."""
    battles = read_battles(raw).collect()
    folds = make_folds(battles, 3)["fold"].to_numpy().astype(np.int64)
    outcomes, context = Outcomes.of(battles), Context()
    frames, columns, signals = [], (), {}
    for kind in (TextSignal, LexicalSignal):
        made, signals[kind.name] = out_of_fold(kind, context, battles.lazy(), outcomes, folds)
        own = stacked_columns(signals[kind.name][0].columns())
        frames.append(stacked_frame(made, own))
        columns = (*columns, *own)
    table = Table(pl.concat(frames, how="horizontal"), columns, outcomes, folds)
    known = TrainedOn.of(table, battles.lazy())
    predictor = Predictor(signals, fit_blend(table, QUICK, seed=0)[0], 1.1, known)
    save_bundle(predictor, ARENA, folder / "bundle")
    return folder
