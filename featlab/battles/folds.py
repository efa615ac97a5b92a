"""Folds that keep a prompt's battles together and the outcomes balanced.

A prompt that stands in training and in the held-out rows tells the outcome
away, so folds are groups of normalised first prompts; a battle without a prompt
is a group of its own (`battle_key`).
"""

from __future__ import annotations

import heapq

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles.turns import battle_key
from featlab.errors import BattleError
from featlab.randomness import derive_seed


def make_folds(battles: pl.LazyFrame | pl.DataFrame, count: int = 5, seed: int = 0) -> pl.DataFrame:
    """Assign every battle to one of `count` folds.

    Prompts that repeat are dealt first, the largest group to the fold that
    lacks its outcomes most; prompts that occur once are then shuffled and dealt
    to the folds that lack their outcome. Both are what scikit-learn's
    `StratifiedGroupKFold` does, without its loop over 50,000 groups of one.

    Parameters
    ----------
    battles : LazyFrame or DataFrame
        Canonical battles with ``id``, ``prompt`` and ``label``.
    count : int
        Number of folds, at least 2.
    seed : int
        Root seed of the shuffle.

    Returns
    -------
    DataFrame with ``id``, ``fold`` (Int8, 0 to count - 1) and ``group`` (UInt32,
    equal for battles of one prompt), in the order of the battles.

    Raises
    ------
    BattleError
        When there are fewer prompts than folds.

    Examples
    --------
    >>> frame = pl.DataFrame(
    ...     {
    ...         "id": range(6),
    ...         "prompt": [["x"], ["X "], ["y"], ["z"], ["u"], ["v"]],
    ...         "label": [0] * 6,
    ...     }
    ... )
    >>> folds = make_folds(frame, count=2)
    >>> folds["fold"][0] == folds["fold"][1], folds["fold"].value_counts()["count"].to_list()
    (True, [3, 3])
    """
    key = battle_key(battles.collect_schema().names())
    keyed = battles.lazy().select("id", "label", key.rank("dense").cast(pl.UInt32).alias("group"))
    frame = keyed.collect()
    groups = frame["group"].n_unique()
    if groups < count:
        raise BattleError(
            f"there are {groups} different prompts, too few for {count} folds",
            source="battles",
        )
    fold = deal_folds(frame["group"].to_numpy(), frame["label"].to_numpy(), count, seed)
    return frame.select("id", pl.Series("fold", fold, pl.Int8), "group")


def deal_folds(
    groups: NDArray[np.integer], labels: NDArray[np.integer], count: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each battle, given its group and label: shape (n,).

    Parameters
    ----------
    groups, labels : int arrays of shape (n,)
        At least `count` different groups; labels 0, 1 or 2.
    count : int
        Number of folds.
    seed : int
        Root seed of the shuffle.
    """
    _, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    return _deal(group, labels, first, sizes, count, seed)[group]


def _deal(
    group: NDArray[np.int64],
    labels: NDArray[np.integer],
    first: NDArray[np.int64],
    sizes: NDArray[np.int64],
    count: int,
    seed: int,
) -> NDArray[np.int64]:
    """Return the fold of each group, given each row's group and label."""
    generator = np.random.default_rng(derive_seed(seed, "folds", count))
    fold_of_group = np.full(len(sizes), -1)
    filled = np.zeros((count, 3))
    target = np.bincount(labels, minlength=3) / count

    histograms = np.zeros((len(sizes), 3))
    np.add.at(histograms, (group, labels), 1)
    repeated = generator.permutation(np.flatnonzero(sizes > 1))
    for index in repeated[np.argsort(-sizes[repeated], kind="stable")]:
        excess = np.maximum(filled + histograms[index] - target, 0).sum(axis=1)
        fold = np.lexsort((filled.sum(axis=1), excess))[0]
        fold_of_group[index] = fold
        filled[fold] += histograms[index]

    single = generator.permutation(np.flatnonzero(sizes == 1))
    for label in range(3):
        levels = [(filled[fold, label], fold) for fold in range(count)]
        heapq.heapify(levels)
        for index in single[labels[first[single]] == label]:
            level, fold = levels[0]
            fold_of_group[index] = fold
            heapq.heapreplace(levels, (level + 1, fold))
    return fold_of_group
