"""Search for the trees' parameters with Optuna, on the same folds that score it.

The study lives in a journal file, so that an interrupted search goes on where
it stopped; every trial draws from its own seed, so that it then ends where an
uninterrupted one would have ended. A trial is pruned as soon as its running
mean over the folds is worse than most of the trials before it had there. The
first trial is the default parameters: on these folds no search ends worse.

On few battles a fit is cheap and differences are small, so trials are fitted
finely. On many it is the other way round: trials are fitted coarsely, so that a
hundred of them on the competition's 57,477 battles stay within minutes on two
cores (`tests/bench/search_cost.py` measures it), and the best is then fitted at
a quarter of its pace, since shrinkage is worth more than it costs once (J. H.
Friedman, "Greedy function approximation", Annals of Statistics 29(5), 2001).
See `SearchPlan`.

The best of many trials looks better than it is. `selection_optimism` says by
how much: each fold is scored by the trial that the *other* folds choose.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from threading import Event

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from featlab.errors import FileError
from featlab.progress import note
from featlab.randomness import derive_seed
from featlab.threads import thread_count
from models.probabilities import log_loss
from models.stacking.blend import mean_of_members
from models.stacking.kernel import KernelOutOfFold
from models.stacking.table import Table
from models.stacking.trees import BoostingParameters, FoldTrainer, mean_over_orders

_log = logging.getLogger(__name__)

FOLD_LOSSES = "fold_losses"

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)

_LEAST = 1e-3
"""What stands for 0 on a logarithmic scale."""


@dataclass(frozen=True)
class SearchPlan:
    """How thoroughly the trials of a search are fitted.

    Parameters
    ----------
    learning_rates : (float, float)
        Range of the learning rate; the number of rounds is inverse to it.
    patience : int
        Rounds without a better stopping loss that end a fit.
    one_order : bool
        Fit each battle in one order, drawn at random, in place of both: half
        the rows. What is scored is the mean over both orders either way.
    kept_percent : float
        A trial goes on to the next fold while its running mean is among this
        share, in per cent, of those that earlier trials had there.
    slower : float
        How many times slower than in its trial the best one learns in the end.

    Examples
    --------
    >>> plan_for(2_000) is FINE, plan_for(57_477) is COARSE
    (True, True)
    >>> FINE.default == BoostingParameters(), COARSE.default.learning_rate
    (True, 0.12)
    """

    learning_rates: tuple[float, float]
    patience: int
    one_order: bool
    kept_percent: float
    slower: float = 1.0

    @property
    def default(self) -> BoostingParameters:
        """The default parameters at the pace of this plan."""
        default, (slowest, fastest) = BoostingParameters(), self.learning_rates
        rate = min(max(default.learning_rate, slowest), fastest)
        return replace(default, learning_rate=rate, patience=self.patience)

    def final(self, parameters: BoostingParameters) -> BoostingParameters:
        """Return the parameters that predict, from those of a trial."""
        return replace(
            parameters,
            learning_rate=parameters.learning_rate / self.slower,
            max_rounds=round(parameters.max_rounds * self.slower),
            patience=BoostingParameters().patience,
        )


FINE = SearchPlan((0.015, 0.12), patience=60, one_order=False, kept_percent=50.0)
COARSE = SearchPlan((0.12, 0.3), patience=20, one_order=True, kept_percent=20.0, slower=4.0)

_EITHER = replace(FINE, learning_rates=(FINE.learning_rates[0], COARSE.learning_rates[1]))
"""Holds the trials of both, where it is not known which plan drew them."""

COARSE_FROM = 12_000
"""Battles from which a search is coarse: beyond, 100 fine trials outlast ten minutes."""


def plan_for(battles: int) -> SearchPlan:
    """Return the plan of a search on so many battles."""
    return COARSE if battles >= COARSE_FROM else FINE


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    parameters : BoostingParameters
        Those of the best trial, at the pace at which they predict.
    fold_losses : dict of int to tuple of float
        Trial number -> log loss on each fold, of every trial that was not pruned.
    best : int
        The number of the best trial.
    finished, pruned : int
        How many trials ended either way.
    """

    parameters: BoostingParameters
    fold_losses: dict[int, tuple[float, ...]]
    best: int
    finished: int
    pruned: int


@dataclass(frozen=True)
class SelectionOptimism:
    """How much of the best trial's loss is luck.

    Parameters
    ----------
    tuned : float
        Mean loss over folds of the best trial.
    left_out : float
        Mean over folds of the loss of the trial that the other folds choose.
    """

    tuned: float
    left_out: float

    @property
    def optimism(self) -> float:
        """How much lower the tuned figure is than an honest one, in nats."""
        return self.left_out - self.tuned


def suggest(trial: optuna.Trial, plan: SearchPlan = FINE) -> BoostingParameters:
    """Draw a trial's parameters from the search space."""
    slowest, fastest = plan.learning_rates
    return BoostingParameters(
        learning_rate=trial.suggest_float("learning_rate", slowest, fastest, log=True),
        num_leaves=trial.suggest_int("num_leaves", 4, 48, log=True),
        min_data_in_leaf=trial.suggest_int("min_data_in_leaf", 15, 300, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.05, 0.6, log=True),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.4, 1.0),
        lambda_l1=trial.suggest_float("lambda_l1", _LEAST, 20.0, log=True),
        lambda_l2=trial.suggest_float("lambda_l2", 1e-2, 200.0, log=True),
        min_gain_to_split=trial.suggest_float("min_gain_to_split", _LEAST, 2.0, log=True),
        extra_trees=trial.suggest_categorical("extra_trees", [False, True]),
        patience=plan.patience,
    )


def starting_point(plan: SearchPlan) -> dict[str, float]:
    """Return the plan's default parameters, as near as `suggest` may draw them.

    Examples
    --------
    >>> starting_point(FINE)["learning_rate"], starting_point(FINE)["lambda_l1"]
    (0.03, 0.001)
    """
    default = plan.default
    return {
        "learning_rate": default.learning_rate,
        "num_leaves": default.num_leaves,
        "min_data_in_leaf": default.min_data_in_leaf,
        "feature_fraction": default.feature_fraction,
        "bagging_fraction": default.bagging_fraction,
        "lambda_l1": max(default.lambda_l1, _LEAST),
        "lambda_l2": default.lambda_l2,
        "min_gain_to_split": max(default.min_gain_to_split, _LEAST),
        "extra_trees": default.extra_trees,
    }


def open_study(journal: Path, name: str) -> optuna.Study:
    """Return the study called `name` in a journal file, made if it is not there.

    What a full disk or a power cut left of the last line is cut off; a trial
    that it belonged to is drawn anew.

    Parameters
    ----------
    journal : Path
        Of which one process at a time is the writer.
    name : str

    Raises
    ------
    FileError
        When the journal is damaged.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _cut_torn_tail(journal)
    try:
        # Who was killed frees this lock by dying; Optuna's own stays for half a minute.
        backend = JournalFileBackend(str(journal), lock_obj=_NoLock(str(journal)))
        storage = JournalStorage(backend)
        if name in {known.study_name for known in storage.get_all_studies()}:
            study = optuna.load_study(study_name=name, storage=storage)
        else:
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize")
        _check_trials(study)
    except (OSError, MemoryError):
        raise
    # Optuna reads a journal without checking it, and fails in whatever way it happens to.
    except Exception as error:
        raise FileError(
            f"{journal}: is damaged ({error!r}); remove it, and the search starts anew"
        ) from error
    return study


class _NoLock(JournalFileSymlinkLock):
    """A lock for a journal in a folder that is locked already."""

    def acquire(self) -> bool:
        """Do nothing."""
        return True

    def release(self) -> None:
        """Do nothing."""


def _cut_torn_tail(journal: Path) -> None:
    """Cut a journal off behind its last whole line."""
    if not journal.is_file():
        return
    whole, lines = 0, 0
    with journal.open("rb") as stream:
        for line in stream:
            try:
                torn = not line.endswith(b"\n") or not isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                torn = True
            if torn:
                break
            whole, lines = whole + len(line), lines + 1
    if lost := journal.stat().st_size - whole:
        os.truncate(journal, whole)
        note(f"{journal}: its end was torn; {lost:,} bytes behind line {lines:,} are cut off")


def _check_trials(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False):
        if trial.state is TrialState.COMPLETE:
            suggest(optuna.trial.FixedTrial(trial.params), _EITHER)  # type: ignore[arg-type]
            if not np.isfinite([trial.value, *trial.user_attrs[FOLD_LOSSES]]).all():
                raise ValueError(f"trial {trial.number} has no losses")


def search(
    data: Table,
    study: optuna.Study,
    trials: int,
    seed: int,
    on_trial: Callable[[int, float], None] | None = None,
    kernel: KernelOutOfFold | None = None,
    deadline: float = inf,
) -> SearchResult:
    """Run the trials that are still missing from `trials`, and return the best of all.

    Parameters
    ----------
    data : Table
    study : Study
        From `open_study`; what it holds already is not run again.
    trials : int
        How many trials there shall be, finished or pruned.
    seed : int
        Root seed.
    on_trial : callable, optional
        Called with the number of completed trials and the best loss so far, after each.
    kernel : KernelOutOfFold, optional
        Out-of-fold predictions of the kernel half: trials are then scored by
        the blend with it, which is what will predict.
    deadline : float
        A time of `time.monotonic` after which no trial begins but the first.
    """
    # What an interruption left running is drawn anew.
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    plan = plan_for(len(data.labels))
    hidden_ties = kernel.hidden_ties if kernel else {}
    trainers = [FoldTrainer(data, fold, seed, hidden_ties.get(fold)) for fold in data.fold_numbers]
    study.pruner = optuna.pruners.PercentilePruner(plan.kept_percent, n_startup_trials=5)
    done = _done(study)
    if done:
        _log.info("the study holds %d trials already", done)
    elif not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(starting_point(plan))
    while done < trials and (done == 0 or time.monotonic() < deadline):
        study.sampler = optuna.samplers.TPESampler(
            seed=derive_seed(seed, "search", done), n_startup_trials=12, constant_liar=False
        )
        study.optimize(lambda trial: _objective(trial, trainers, plan, kernel), n_trials=1)
        done = _done(study)
        if on_trial is not None:
            on_trial(done, study.best_value)
    return _result(study, plan)


def _objective(
    trial: optuna.Trial,
    trainers: list[FoldTrainer],
    plan: SearchPlan,
    kernel: KernelOutOfFold | None,
) -> float:
    parameters = suggest(trial, plan)
    losses: list[float] = []
    dropped = Event()
    # All folds start as threads are free, and a pruned trial drops those that ran
    # ahead: the study is then the same for any number of threads.
    with ThreadPoolExecutor(thread_count()) as pool:
        folds = [
            pool.submit(_fold_loss, trainer, parameters, plan, kernel, dropped)
            for trainer in trainers
        ]
        try:
            for step, fold in enumerate(folds):
                losses.append(fold.result())
                trial.report(float(np.mean(losses)), step)
                if step + 1 < len(trainers) and trial.should_prune():
                    raise optuna.TrialPruned
        finally:
            dropped.set()
            pool.shutdown(cancel_futures=True)
    trial.set_user_attr(FOLD_LOSSES, losses)
    return float(np.mean(losses))


def _fold_loss(
    trainer: FoldTrainer,
    parameters: BoostingParameters,
    plan: SearchPlan,
    kernel: KernelOutOfFold | None,
    dropped: Event,
) -> float:
    booster = trainer.fit_stopped(parameters, one_order=plan.one_order, dropped=dropped)
    probabilities = mean_over_orders(*trainer.predict_held_out(booster))
    if kernel is not None:
        near = kernel.probabilities[trainer.held_out_rows]
        probabilities = mean_of_members(probabilities, near)
    return log_loss(probabilities, trainer.data.labels[trainer.held_out_rows])


def _done(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=_ENDED))


def _result(study: optuna.Study, plan: SearchPlan) -> SearchResult:
    ended = study.get_trials(deepcopy=False, states=_ENDED)
    # Optuna also numbers the trials that an interruption cost.
    numbers = {trial.number: number for number, trial in enumerate(ended)}
    losses = {
        numbers[trial.number]: tuple(float(loss) for loss in trial.user_attrs[FOLD_LOSSES])
        for trial in ended
        if trial.state is TrialState.COMPLETE
    }
    best = optuna.trial.FixedTrial(study.best_params)
    return SearchResult(
        parameters=plan.final(suggest(best, plan)),  # type: ignore[arg-type]
        fold_losses=losses,
        best=numbers[study.best_trial.number],
        finished=len(losses),
        pruned=len(ended) - len(losses),
    )


def selection_optimism(result: SearchResult) -> SelectionOptimism:
    """Score each fold by the trial that is best on the other folds.

    Tibshirani and Tibshirani, "A bias correction for the minimum error rate in
    cross-validation", Annals of Applied Statistics 3(2), 2009, turned round:
    the choice leaves the scored fold out.

    Examples
    --------
    >>> losses = {0: (1.0, 3.0), 1: (2.0, 1.0)}
    >>> result = SearchResult(BoostingParameters(), losses, best=1, finished=2, pruned=0)
    >>> selection_optimism(result).left_out
    2.5
    """
    losses = np.array(list(result.fold_losses.values()))
    rest = losses.sum(axis=1, keepdims=True) - losses
    chosen = rest.argmin(axis=0)
    return SelectionOptimism(
        tuned=float(losses.mean(axis=1).min()),
        left_out=float(losses[chosen, np.arange(losses.shape[1])].mean()),
    )
