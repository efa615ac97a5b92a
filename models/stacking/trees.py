"""The trees: LightGBM on both orders of every battle, averaged over both orders.

A battle and its mirror image enter training together, and a prediction is the
mean over the two, so that predicting the exchanged battle gives exactly the
exchanged prediction, whatever the trees learned.

Every LightGBM has one thread, and several of them run side by side: the folds
of a fit, the boosters of a prediction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from math import inf
from threading import Event
from typing import TypeAlias

import numpy as np
import polars as pl

from featlab.battles.schema import TIE
from featlab.columns import Column
from featlab.randomness import derive_seed
from featlab.threads import in_threads
from models.lightgbm_alone import lgb
from models.probabilities import Floats, Labels, Probabilities, Rows, exchanged
from models.stacking.table import Matrix, Table, counted_outcomes, exchanged_labels, matrices

DATASET_PARAMETERS: dict[str, object] = {"max_bin": 127, "feature_pre_filter": False}
"""Fixed, so that columns are binned once for every trial of a search."""


_FEW = 48
"""Battles that trees predict in less time than threads take to start."""


@dataclass(frozen=True)
class BoostingParameters:
    """What the search may choose for LightGBM; names and units are LightGBM's own."""

    learning_rate: float = 0.03
    num_leaves: int = 8
    min_data_in_leaf: int = 60
    feature_fraction: float = 0.2
    bagging_fraction: float = 0.7
    lambda_l1: float = 0.0
    lambda_l2: float = 20.0
    min_gain_to_split: float = 0.0
    extra_trees: bool = False
    max_rounds: int = 1500
    patience: int = 60

    def for_lightgbm(self, seed: int, *, ties: bool = True) -> dict[str, object]:
        """Return parameters for `lightgbm.train`, reproducible for a seed.

        Without ties there are two outcomes.
        """
        chosen = asdict(self)
        del chosen["max_rounds"], chosen["patience"]
        return {
            **chosen,
            "objective": "multiclass",
            "num_class": 3 if ties else 2,
            "bagging_freq": 1,
            **DATASET_PARAMETERS,
            "seed": seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }

    def for_half_the_rows(self) -> BoostingParameters:
        """Return the same model where each leaf holds half as many rows."""
        return replace(
            self,
            min_data_in_leaf=max(1, self.min_data_in_leaf // 2),
            lambda_l1=self.lambda_l1 / 2,
            lambda_l2=self.lambda_l2 / 2,
            min_gain_to_split=self.min_gain_to_split / 2,
        )


@dataclass(frozen=True)
class TrainingSet:
    """What trees are fitted on: battles, each in the order given and exchanged.

    Parameters
    ----------
    given, exchanged : float32 arrays of shape (n, columns)
    labels : int array of shape (n,)
        Of the battles as given.
    weight : float64 array of shape (n,), optional
        How many battles each row counts for; all for 1 by default.
    names : sequence of str
        Of the columns.
    """

    given: Matrix = field(repr=False)
    exchanged: Matrix = field(repr=False)
    labels: Labels = field(repr=False)
    weight: Floats | None = field(repr=False)
    names: Sequence[str]

    @classmethod
    def of(cls, data: Table, rows: Rows, hidden_ties: Floats | None = None) -> TrainingSet:
        """Take some battles and, where the chance of their hidden ties is given, all extra ones."""
        given, exchanged = data.both_orders
        names = [column.name for column in data.scalars]
        own = cls(given[rows], exchanged[rows], data.labels[rows], None, names)
        if data.extra is None or hidden_ties is None:
            return own
        given, exchanged = data.extra.both_orders
        outcome, labels, weight = counted_outcomes(data.extra.outcomes, hidden_ties)
        if not data.ties:
            won = labels != TIE
            outcome, labels, weight = outcome[won], labels[won], weight[won]
        return cls(
            np.vstack([own.given, given[outcome]]),
            np.vstack([own.exchanged, exchanged[outcome]]),
            np.concatenate([own.labels, labels]),
            np.concatenate([np.ones(len(rows)), weight]),
            names,
        )

    def in_both_orders(self, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        """Return a LightGBM dataset of every battle twice."""
        return self._dataset(
            np.vstack([self.given, self.exchanged]),
            np.concatenate([self.labels, exchanged_labels(self.labels)]),
            None if self.weight is None else np.concatenate([self.weight, self.weight]),
            reference,
        )

    def in_one_order(self, seed: int) -> lgb.Dataset:
        """Return a LightGBM dataset of every battle in one order drawn at random."""
        other = np.random.default_rng(seed).random(len(self.labels)) < 0.5
        return self._dataset(
            np.where(other[:, None], self.exchanged, self.given),
            np.where(other, exchanged_labels(self.labels), self.labels),
            self.weight,
            None,
        )

    def _dataset(
        self,
        matrix: Matrix,
        labels: Labels,
        weight: Floats | None,
        reference: lgb.Dataset | None,
    ) -> lgb.Dataset:
        return lgb.Dataset(
            matrix,
            labels,
            weight=weight,
            feature_name=list(self.names),
            reference=reference,
            params={**DATASET_PARAMETERS, "verbosity": -1, "num_threads": 1},
            free_raw_data=True,
        )


def predict_both_orders(
    booster: lgb.Booster, given: Matrix, swapped: Matrix
) -> tuple[Probabilities, Probabilities]:
    """Return raw predictions of battles as given, and of the exchanged ones in their own order."""
    first = _three(booster.predict(given, num_threads=1))
    second = _three(booster.predict(swapped, num_threads=1))
    return first, second


def _three(predicted: object) -> Probabilities:
    """Predictions of three outcomes; a model of two gives a tie no chance."""
    found: Probabilities = np.asarray(predicted)
    if found.shape[1] == TIE:
        return np.hstack([found, np.zeros((len(found), 1))])
    return found


def mean_over_orders(given: Probabilities, swapped: Probabilities) -> Probabilities:
    """Return the mean of a prediction and its mirror image, in the order given."""
    mean: Probabilities = (given + exchanged(swapped)) / 2
    return mean


def _end_when(dropped: Event) -> Callable[[lgb.callback.CallbackEnv], None]:
    def look(environment: lgb.callback.CallbackEnv) -> None:
        if dropped.is_set():
            raise lgb.callback.EarlyStopException(
                environment.iteration, environment.evaluation_result_list or []
            )

    return look


class FoldTrainer:
    """Trains on all folds but one, as often as asked, binning the columns only once.

    Parameters
    ----------
    data : Table
    held_out : int
        The fold that is predicted and never trained on.
    seed : int
        Root seed.
    hidden_ties : float64 array of shape (extra battles,), optional
        The chance of a tie of every extra battle, by a model that never saw
        the fold; the share of ties in the training folds by default.
    """

    def __init__(
        self, data: Table, held_out: int, seed: int, hidden_ties: Floats | None = None
    ) -> None:
        self.data = data
        self.held_out = held_out
        self.seed = seed
        self.held_out_rows = np.flatnonzero(data.folds == held_out)
        if data.extra is not None and hidden_ties is None:
            share = float((data.labels[data.training_rows(held_out)] == TIE).mean())
            hidden_ties = np.full(len(data.extra.folds), share)
        self.hidden_ties = hidden_ties
        # Made before folds are fitted side by side, each of which would make its own.
        _ = data.both_orders, data.extra and data.extra.both_orders

    @cached_property
    def _fitting(self) -> tuple[lgb.Dataset, lgb.Dataset]:
        """What is fitted on, and what its early stopping looks at."""
        rows, stopping = self.data.stopping_split(self.held_out)
        fitting = TrainingSet.of(self.data, rows, self.hidden_ties).in_both_orders().construct()
        return fitting, self._stopping(stopping, fitting)

    @cached_property
    def _fitting_in_one_order(self) -> tuple[lgb.Dataset, lgb.Dataset]:
        rows, stopping = self.data.stopping_split(self.held_out)
        seed = derive_seed(self.seed, "order", self.held_out)
        fitting = TrainingSet.of(self.data, rows, self.hidden_ties).in_one_order(seed).construct()
        return fitting, self._stopping(stopping, fitting)

    def _stopping(self, rows: Rows, fitting: lgb.Dataset) -> lgb.Dataset:
        return TrainingSet.of(self.data, rows).in_both_orders(reference=fitting).construct()

    @cached_property
    def _training(self) -> lgb.Dataset:
        rows = self.data.training_rows(self.held_out)
        return TrainingSet.of(self.data, rows, self.hidden_ties).in_both_orders().construct()

    def fit_stopped(
        self,
        parameters: BoostingParameters,
        repeat: int = 0,
        *,
        one_order: bool = False,
        dropped: Event | None = None,
    ) -> lgb.Booster:
        """Fit with early stopping on one of the training folds.

        Parameters
        ----------
        parameters : BoostingParameters
            As they are for both orders of every battle.
        repeat : int
            Another repeat is fitted from another seed.
        one_order : bool
            Fit each battle in one order drawn at random, in less than half the
            time. Early stopping looks at both orders either way.
        dropped : Event, optional
            Ends the fit at its next round once it is set, by whoever does not
            need it any more.
        """
        fitting, stopping = self._fitting_in_one_order if one_order else self._fitting
        fitted = parameters.for_half_the_rows() if one_order else parameters
        return lgb.train(
            fitted.for_lightgbm(self._seed(repeat), ties=self.data.ties),
            fitting,
            num_boost_round=parameters.max_rounds,
            valid_sets=[stopping],
            callbacks=[
                lgb.early_stopping(parameters.patience, verbose=False),
                *([] if dropped is None else [_end_when(dropped)]),
            ],
        )

    def fit_all(self, parameters: BoostingParameters, rounds: int, repeat: int = 0) -> lgb.Booster:
        """Fit a given number of rounds on every training fold."""
        return lgb.train(
            parameters.for_lightgbm(self._seed(repeat), ties=self.data.ties),
            self._training,
            num_boost_round=rounds,
        )

    def _seed(self, repeat: int) -> int:
        return derive_seed(self.seed, "boosting", self.held_out, repeat)

    def predict_held_out(self, booster: lgb.Booster) -> tuple[Probabilities, Probabilities]:
        """Return raw predictions of the held-out battles in both orders."""
        given, swapped = self.data.both_orders
        return predict_both_orders(booster, given[self.held_out_rows], swapped[self.held_out_rows])


@dataclass(frozen=True)
class Trees:
    """The member that finds thresholds in single columns: fold models whose mean predicts.

    Parameters
    ----------
    columns : tuple of Column
        The columns, in the order the models know them.
    boosters : sequence of Booster
        One a fold and repeat.
    """

    columns: tuple[Column, ...] = field(repr=False)
    boosters: Sequence[lgb.Booster] = field(repr=False)

    def predict(self, frame: pl.DataFrame) -> Probabilities:
        """Return raw probabilities, float64 of shape (n, 3), exactly symmetric in the sides."""
        given, swapped = matrices(frame, self.columns)
        total = np.zeros((len(frame), 3))
        for both in in_threads(
            lambda booster: predict_both_orders(booster, given, swapped),
            self.boosters,
            quick=len(frame) <= _FEW,
        ):
            total += mean_over_orders(*both)
        return total / len(self.boosters)


@dataclass(frozen=True)
class TreesOutOfFold:
    """What trees say of battles that they never saw, each array of shape (n, 3).

    Parameters
    ----------
    one_order : float64 array
        Of the battles as given.
    other_order : float64 array
        Of the exchanged battles, in their own order of sides.
    repeats : int
        Seeds a fold whose predictions were averaged.
    """

    one_order: Probabilities
    other_order: Probabilities
    repeats: int = 1

    @property
    def probabilities(self) -> Probabilities:
        """The mean over both orders: what predicts."""
        return mean_over_orders(self.one_order, self.other_order)


def fit_trees(
    data: Table,
    parameters: BoostingParameters,
    seed: int,
    repeats: int = 1,
    hidden_ties: Mapping[int, Floats] | None = None,
    held_out: Sequence[int] | None = None,
    deadline: float = inf,
) -> tuple[Trees, TreesOutOfFold]:
    """Fit one model a fold and repeat, and predict every battle by models that never saw it.

    The number of rounds is found by early stopping inside the training folds;
    the model is then fitted on all of them for as many rounds.

    Parameters
    ----------
    hidden_ties : mapping of int to float64 array of shape (extra battles,), optional
        Held-out fold -> the chance of a tie of every extra battle (`FoldTrainer`).
    held_out : sequence of int, optional
        The folds to leave out and predict, all by default; of other battles
        nothing is predicted.
    deadline : float
        A time of `time.monotonic`; a second repeat and those after it are left
        out if they would end later.
    """
    folds, ties = held_out or data.fold_numbers, hidden_ties or {}
    trainers = [FoldTrainer(data, fold, seed, ties.get(fold)) for fold in folds]
    fitted: list[list[_Fitted]] = []
    start = time.monotonic()
    for repeat in range(repeats):
        now = time.monotonic()
        if fitted and now + (now - start) / len(fitted) > deadline:
            break
        fitted.append(in_threads(partial(_fit, parameters=parameters, repeat=repeat), trainers))
    one_order, other_order = np.zeros((len(data.labels), 3)), np.zeros((len(data.labels), 3))
    by_fold = list(zip(*fitted, strict=True))
    for trainer, of_fold in zip(trainers, by_fold, strict=True):
        for _, given, swapped in of_fold:
            one_order[trainer.held_out_rows] += given / len(fitted)
            other_order[trainer.held_out_rows] += swapped / len(fitted)
    boosters = tuple(booster for of_fold in by_fold for booster, _, _ in of_fold)
    return Trees(data.scalars, boosters), TreesOutOfFold(one_order, other_order, len(fitted))


_Fitted: TypeAlias = tuple[lgb.Booster, Probabilities, Probabilities]


def _fit(trainer: FoldTrainer, parameters: BoostingParameters, repeat: int) -> _Fitted:
    """Fit one booster, and predict the held-out battles by it in both orders."""
    rounds = trainer.fit_stopped(parameters, repeat).best_iteration
    booster = trainer.fit_all(parameters, max(rounds, 1), repeat)
    return booster, *trainer.predict_held_out(booster)
