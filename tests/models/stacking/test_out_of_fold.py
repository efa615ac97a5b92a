"""Signals over folds: prepared once, and never applied to what they were fitted on."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.generated import generate_battles
from featlab.signals import TRAINING_ONLY, Context, Outcomes, find_signal
from models.stacking.out_of_fold import fit_folds, mean_columns, out_of_fold
from tests.models.conftest import make_outcomes
from tests.models.remembering import POISON, OneAfterAnother, Remembering, Unlearned

IDS = np.random.default_rng(0).permutation(30)
FOLDS = np.random.default_rng(1).integers(0, 4, 30)
LABELS = np.random.default_rng(2).integers(0, 3, 30)
BATTLES = pl.LazyFrame({"id": IDS, "label": LABELS, "model_a": ["m"] * 30, "weight": [1.0] * 30})


@pytest.mark.parametrize("kind", [Remembering, OneAfterAnother])
def test_no_battle_is_transformed_by_a_signal_that_saw_it(kind: type[Remembering]) -> None:
    told: list[int] = []
    log: list[Any] = []
    columns, fitted = out_of_fold(
        kind, Context(options={"log": log}), BATTLES, make_outcomes(LABELS), FOLDS, told.append
    )
    assert told == [1, 2, 3, 4]
    assert columns["seen"].to_list() == [0.0] * 30
    assert columns["id_again"].to_list() == IDS.tolist()
    for fold, signal in enumerate(fitted):
        assert signal.seen.tolist() == np.flatnonzero(fold != FOLDS).tolist()
    prepared = [entry for entry in log if isinstance(entry, list)]
    assert len(prepared) == 1
    assert not set(prepared[0]) & set(TRAINING_ONLY)


def test_neither_the_own_fold_nor_a_battle_that_was_not_asked_for_is_read() -> None:
    rows = np.random.default_rng(3).permutation(30)[:24]
    outcomes, prepared = make_outcomes(LABELS), BATTLES.collect()
    for fold in range(4):
        unread = (fold == FOLDS) | ~np.isin(np.arange(30), rows)
        poisoned = replace(outcomes, labels=np.where(unread, POISON, LABELS))
        columns, fitted = fit_folds(Remembering, Context(), prepared, poisoned, FOLDS, rows)
        assert columns["id_again"].to_list() == IDS[rows].tolist()
        assert ((columns["share"] <= 2) == (FOLDS[rows] == fold)).all()
        assert fitted[fold].share <= 2


def test_a_signal_without_learning_is_one_for_all_folds() -> None:
    columns, fitted = out_of_fold(Unlearned, Context(), BATTLES, make_outcomes(LABELS), FOLDS)
    assert columns["id_again"].to_list() == IDS.tolist()
    assert [signal.seen.tolist() for signal in fitted] == [[]]


def test_the_mean_over_fold_models_is_their_mean_of_battles_without_outcomes() -> None:
    outcomes, prepared = make_outcomes(LABELS), BATTLES.collect()
    log: list[Any] = []
    models = [
        Remembering(log).fit(prepared, outcomes, np.array(rows))
        for rows in ([0], [0, 1], [0, 1], [1])
    ]
    mean = mean_columns(models, BATTLES.head(3))
    assert mean["seen"].to_list() == [0.75, 0.75, 0.0]
    assert mean.schema["seen"] == pl.Float32
    assert log[0] == ["id"]


@pytest.mark.parametrize("name", ["lexical", "identity"])
def test_folds_fitted_side_by_side_give_the_same_columns(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    battles = read_battles(generate_battles(120, seed=3).train).collect()
    outcomes, folds, found = Outcomes.of(battles), np.arange(120) % 3, []
    for threads in ("1", "3"):
        monkeypatch.setenv("FEATLAB_THREADS", threads)
        kind = find_signal(name)
        found.append(out_of_fold(kind, Context(), battles.lazy(), outcomes, folds)[0])
    assert found[0].equals(found[1])
