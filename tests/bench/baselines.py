"""Published recipes beside the ensemble, on the same folds: ``python -m tests.bench.baselines``.

Every recipe is fitted on the training rows of each fold and scored out of fold,
as its authors describe it, with the parameters below and nothing tuned. The
table gives the log loss with a 95 % interval over resampled prompts, and the
paired difference from the run's ensemble.

FEATLAB_TEST_DATA=folder python -m tests.bench.baselines --run runs/arena
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import xgboost as xgb
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from featlab.battles import PROBABILITIES, joined_turns, read_battles
from featlab.features import BattleColumns
from featlab.parity import Parity
from featlab.threads import thread_count
from models.evaluation.metrics import bootstrap_mean, paired_difference
from models.probabilities import Probabilities, Rows, prior, row_log_loss


@dataclass(frozen=True)
class Texts:
    """The texts and outcomes of all battles, row by row."""

    frame: pl.DataFrame
    prompt: list[str]
    a: list[str]
    b: list[str]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]

    @property
    def swapped_labels(self) -> NDArray[np.int64]:
        """The labels of the exchanged battles."""
        return np.where(self.labels < 2, 1 - self.labels, self.labels)


Recipe = Callable[[Texts, Rows, Rows], Probabilities]
"""From battles, training rows and held-out rows to probabilities of the held-out rows."""


def pick(values: list[str], rows: Rows) -> list[str]:
    """Some of the texts."""
    return [values[row] for row in rows]


def mirrored(
    fit: Callable[[sparse.csr_matrix, NDArray[np.int64]], Callable[..., Probabilities]],
    odd: sparse.csr_matrix,
    even: sparse.csr_matrix,
    texts: Texts,
    training: Rows,
    held: Rows,
) -> Probabilities:
    """Fit on both orders of columns that are odd or even, and predict as the mean of both."""
    given, exchanged = sparse.hstack([odd, even]).tocsr(), sparse.hstack([-odd, even]).tocsr()
    labels = np.concatenate([texts.labels[training], texts.swapped_labels[training]])
    predict = fit(sparse.vstack([given[training], exchanged[training]]).tocsr(), labels)
    return (predict(given[held]) + predict(exchanged[held])[:, [1, 0, 2]]) / 2


def out_of_fold_prior(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """The outcome shares of the training rows."""
    return np.tile(prior(texts.labels[training]), (len(held), 1))


def length_only(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """Logistic regression on the signed and absolute log ratio of the lengths."""
    ratio = np.array(
        [np.log1p(len(a)) - np.log1p(len(b)) for a, b in zip(texts.a, texts.b, strict=True)]
    )[:, None]

    def fit(rows: sparse.csr_matrix, labels: NDArray[np.int64]) -> Callable[..., Probabilities]:
        return LogisticRegression(max_iter=500).fit(rows, labels).predict_proba

    odd, even = sparse.csr_matrix(ratio), sparse.csr_matrix(np.abs(ratio))
    return mirrored(fit, odd, even, texts, training, held)


def tfidf_lightgbm_defaults(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """TF-IDF of prompt and responses, side by side, into LightGBM as it comes."""
    blocks = []
    for column in (texts.prompt, texts.a, texts.b):
        vectors = TfidfVectorizer(max_features=5_000).fit(pick(column, training))
        blocks.append(vectors.transform(column))
    rows = sparse.hstack(blocks).tocsr().astype(np.float32)
    model = lgb.LGBMClassifier(verbose=-1, n_jobs=thread_count())
    model.fit(rows[training], texts.labels[training])
    return model.predict_proba(rows[held])


def tfidf_difference_logistic(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """Word 1-2 and character 2-4 TF-IDF, response a less response b, logistic regression."""
    known = pick(texts.a, training) + pick(texts.b, training)
    blocks = []
    for vectors in (
        TfidfVectorizer(ngram_range=(1, 2), min_df=3, max_features=50_000, sublinear_tf=True),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), min_df=5, max_features=50_000, sublinear_tf=True
        ),
    ):
        vectors.fit(known)
        blocks.append(vectors.transform(texts.a) - vectors.transform(texts.b))
    odd = sparse.hstack(blocks).tocsr()

    def fit(rows: sparse.csr_matrix, labels: NDArray[np.int64]) -> Callable[..., Probabilities]:
        return LogisticRegression(max_iter=300).fit(rows, labels).predict_proba

    return mirrored(fit, odd, abs(odd), texts, training, held)


def xgboost_hand_and_tfidf(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """36 hand-made differences and a 5,000-wide TF-IDF difference, XGBoost, both orders."""
    columns = BattleColumns(families=["verbosity", "punctuation", "newlines"])
    names = [name for name, kind in columns.parity.items() if kind is Parity.ODD][:36]
    hand = columns.compute(texts.frame.lazy()).select(names).collect().fill_null(0.0).to_numpy()
    vectors = TfidfVectorizer(max_features=5_000, sublinear_tf=True)
    vectors.fit(pick(texts.a, training) + pick(texts.b, training))
    difference = vectors.transform(texts.a) - vectors.transform(texts.b)
    odd = sparse.hstack([sparse.csr_matrix(hand), difference]).tocsr().astype(np.float32)

    def fit(rows: sparse.csr_matrix, labels: NDArray[np.int64]) -> Callable[..., Probabilities]:
        model = xgb.XGBClassifier(
            n_estimators=500,
            learning_rate=0.05,
            max_depth=6,
            subsample=0.8,
            colsample_bytree=0.5,
            n_jobs=thread_count(),
            random_state=0,
        )
        return model.fit(rows, labels).predict_proba

    return mirrored(fit, odd, odd[:, :0], texts, training, held)


def count_lightgbm(texts: Texts, training: Rows, held: Rows) -> Probabilities:
    """Word and character counts, symlog(a - b) and abs(a - b), white space and full stops.

    The recipe of the best public entry without a GPU; stopped early on a tenth
    of the training rows.
    """
    known = pick(texts.a, training) + pick(texts.b, training)
    odd_blocks, even_blocks = [], []
    for vectors in (
        CountVectorizer(ngram_range=(1, 2), min_df=10, max_features=3_000),
        CountVectorizer(analyzer="char", ngram_range=(1, 3), min_df=20, max_features=3_000),
    ):
        vectors.fit(known)
        difference = (vectors.transform(texts.a) - vectors.transform(texts.b)).astype(np.float32)
        size = abs(difference)
        odd_blocks.append(difference.sign().multiply(size.log1p()))
        even_blocks.append(size)
    marks = np.array(
        [
            [side.count(mark) for side in (a, b) for mark in ("\n", "\n\n", ".", " ")]
            for a, b in zip(texts.a, texts.b, strict=True)
        ],
        np.float32,
    ).reshape(len(texts.a), 2, 4)
    for scale in (np.sqrt, np.log1p):
        odd_blocks.append(sparse.csr_matrix(scale(marks[:, 0]) - scale(marks[:, 1])))
        even_blocks.append(sparse.csr_matrix(scale(marks[:, 0]) + scale(marks[:, 1])))

    def fit(rows: sparse.csr_matrix, labels: NDArray[np.int64]) -> Callable[..., Probabilities]:
        stopping = np.random.default_rng(0).random(len(training)) < 0.1
        stopping = np.concatenate([stopping, stopping])
        data = lgb.Dataset(rows[~stopping], labels[~stopping], params={"verbosity": -1})
        booster = lgb.train(
            {
                "objective": "multiclass",
                "num_class": 3,
                "learning_rate": 0.05,
                "num_leaves": 15,
                "feature_fraction": 0.1,
                "min_data_in_leaf": 40,
                "seed": 0,
                "verbosity": -1,
                "num_threads": thread_count(),
            },
            data,
            num_boost_round=1_000,
            valid_sets=[data.create_valid(rows[stopping], labels[stopping])],
            callbacks=[lgb.early_stopping(50, verbose=False)],
        )
        return lambda rows: np.asarray(booster.predict(rows))

    odd, even = sparse.hstack(odd_blocks).tocsr(), sparse.hstack(even_blocks).tocsr()
    return mirrored(fit, odd, even, texts, training, held)


RECIPES: dict[str, Recipe] = {
    "prior": out_of_fold_prior,
    "length only, logistic": length_only,
    "TF-IDF, LightGBM defaults": tfidf_lightgbm_defaults,
    "36 hand features and TF-IDF difference, XGBoost": xgboost_hand_and_tfidf,
    "word and character TF-IDF difference, logistic": tfidf_difference_logistic,
    "word and character counts, LightGBM": count_lightgbm,
}


def load_texts(folder: Path, run: Path) -> tuple[Texts, NDArray[np.int64]]:
    """The battles in the run's order, with its folds, and the groups of prompts."""
    frame = read_battles(folder / "train.csv", require_outcome=True).collect()
    folds = pl.read_parquet(run / "folds.parquet")
    if not folds["id"].equals(frame["id"]):
        raise SystemExit(f"{run} was trained on other battles than {folder}/train.csv")
    plain = frame.select(joined_turns(name) for name in ("prompt", "response_a", "response_b"))
    texts = Texts(
        frame,
        *(plain[name].to_list() for name in plain.columns),
        labels=frame["label"].to_numpy().astype(np.int64),
        folds=folds["fold"].to_numpy().astype(np.int64),
    )
    return texts, folds["group"].to_numpy()


def predict(recipe: Recipe, texts: Texts) -> Probabilities:
    """Out-of-fold probabilities of a recipe."""
    found = np.empty((len(texts.labels), 3))
    for fold in np.unique(texts.folds):
        held = np.flatnonzero(texts.folds == fold)
        found[held] = recipe(texts, np.flatnonzero(texts.folds != fold), held)
    return found


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="run folder of the ensemble")
    parser.add_argument("--data", type=Path, help="folder with train.csv")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.data or Path(os.environ["FEATLAB_TEST_DATA"]) / "arena"
    texts, groups = load_texts(folder, options.run)
    own = pl.read_parquet(options.run / "oof.parquet").select(PROBABILITIES).to_numpy()
    print("| recipe | log loss | 95 % interval | worse than the ensemble by | seconds |")
    print("|---|---|---|---|---|")
    for name, recipe in RECIPES.items():
        start = time.perf_counter()
        found = predict(recipe, texts)
        seconds = time.perf_counter() - start
        loss = bootstrap_mean(row_log_loss(found, texts.labels), groups, options.seed)
        gap = paired_difference(found, own, texts.labels, groups, options.seed)
        print(
            f"| {name} | {loss.value:.4f} | {loss.low:.4f} to {loss.high:.4f} "
            f"| {gap.value:.4f} ({gap.low:.4f} to {gap.high:.4f}) | {seconds:.0f} |",
            flush=True,
        )
    loss = bootstrap_mean(row_log_loss(own, texts.labels), groups, options.seed)
    print(
        f"| **featlab ensemble** | **{loss.value:.4f}** | {loss.low:.4f} to {loss.high:.4f} | | |"
    )


if __name__ == "__main__":
    main()
