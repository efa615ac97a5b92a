"""Which model wrote a text: a posterior over models from the text alone.

Four views of a text tell models apart: its words, its first and its last
characters ("Certainly! ...", "... let me know!"), and its shape, the text with
every run of lower-case letters and of digits written as one sign, which is
layout, punctuation and rhythm without a topic. Their n-grams are hashed, the
buckets that differ most between models are kept, and a ridge multinomial
regression reads those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import softmax

from featlab.randomness import derive_seed
from featlab.signals.identity.sparse_softmax import ridge_softmax
from featlab.signals.sparse_text import SparseText

Floats = NDArray[np.float64]

BUCKETS = 4096
PENALTY = 0.2
STEPS = 12
EDGE_CHARACTERS = 50
"""How much of a text's beginning and end is read as such."""

MOST_MODELS = 128
"""Models beyond the most frequent are left out: their few texts tell little and cost memory."""

_WORDS = SparseText("word", 1, 2, bits=17)
_SIGNS = SparseText("char", 1, 5, bits=16)
_WORD_SHARE, _EDGE_SHARE, _SHAPE_SHARE = 0.5, 0.5, 1.0
_SAMPLE = 16_384
"""Texts that buckets are chosen on."""
_BLOCK = 2_048
"""Texts that are worked on at once: few, so that what is let go is soon used again."""


@dataclass(frozen=True)
class Authorship:
    """What tells the texts of models apart.

    Parameters
    ----------
    models : tuple of str
        In alphabetical order.
    buckets : int64 array of shape (kept,)
        The hashed n-grams that are read.
    coefficients : float32 array of shape (kept, models)
    intercept : float64 array of shape (models,)
    """

    models: tuple[str, ...]
    buckets: NDArray[np.int64] = field(repr=False)
    coefficients: NDArray[np.float32] = field(repr=False)
    intercept: Floats = field(repr=False)

    def posterior(self, views: sparse.csr_matrix) -> Floats:
        """Return the chance that each model wrote each text.

        Parameters
        ----------
        views : csr_matrix of float32, shape (n, all buckets)
            From `views_of_texts`.

        Returns
        -------
        float64 array of shape (n, models) whose rows sum to 1. A text's row
        depends on that text alone, bit for bit.
        """
        logits = (views[:, self.buckets] @ self.coefficients).astype(np.float64)
        chances: Floats = softmax(logits + self.intercept, axis=1)
        return chances


def fit_authorship(
    views: sparse.csr_matrix,
    rows: NDArray[np.int64],
    models: pl.Series,
    weights: Floats,
    penalty: float = PENALTY,
    seed: int = 0,
) -> Authorship:
    """Learn to tell models apart by their texts.

    Parameters
    ----------
    views : csr_matrix of float32, shape (texts, all buckets)
        From `views_of_texts`.
    rows : int64 array of shape (n,)
        The texts to learn from.
    models : Series of String, length n
        Who wrote each; texts without a name are left out, and those of models
        beyond the `MOST_MODELS` most frequent.
    weights : float64 array of shape (n,)
        How often each text counts.
    penalty : float
        Ridge penalty, in units of the summed log loss.
    seed : int
        Root seed of the sample on which buckets are chosen where there are
        more than 16,384 texts.

    Examples
    --------
    >>> views = views_of_texts(pl.Series(["Certainly! It is so.", "dunno man"] * 20))
    >>> found = fit_authorship(
    ...     views, np.arange(40), pl.Series(["polite", "curt"] * 20), np.ones(40)
    ... )
    >>> asked = views_of_texts(pl.Series(["Certainly! Why not."]))
    >>> found.models, found.posterior(asked).round(1).tolist()
    (('curt', 'polite'), [[0.1, 0.9]])
    """
    counts = (
        models.drop_nulls().value_counts().sort(["count", models.name], descending=[True, False])
    )
    names = counts[models.name].head(MOST_MODELS).sort()
    known = np.flatnonzero((models.is_not_null() & models.is_in(names.implode())).to_numpy())
    rows = rows[known]
    author = models[known].replace_strict(names, range(len(names))).to_numpy().astype(np.int64)
    generator = np.random.default_rng(derive_seed(seed, "authorship"))
    sample = np.sort(generator.permutation(len(rows))[:_SAMPLE])
    kept = _most_telling(views[rows[sample]], author[sample], len(names), BUCKETS)
    blocks = [views[rows[start : start + _BLOCK]][:, kept] for start in range(0, len(rows), _BLOCK)]
    learned = ridge_softmax(blocks, author, len(names), weights[known], penalty, STEPS)
    return Authorship(tuple(names.to_list()), kept, *learned)


def views_of_texts(texts: pl.Series) -> sparse.csr_matrix:
    """Return the four views of each text side by side: float32, shape (n, all buckets).

    Parameters
    ----------
    texts : Series of String, length n
        Null counts as the empty text.
    """
    parts = [_views(texts.slice(start, _BLOCK)) for start in range(0, max(len(texts), 1), _BLOCK)]
    return sparse.vstack(parts, format="csr")


def shapes(texts: pl.Series) -> pl.Series:
    r"""Return texts with each run of lower-case letters, digit run and capital as one sign.

    Examples
    --------
    >>> shapes(pl.Series(["1. **Bold** words, 25 of THEM"])).to_list()
    ['0. **8w** w, 0 w 8888']
    """
    return (
        texts.str.replace_all("[0-9]+", "0")
        .str.replace_all(r"\p{Ll}+", "w")
        .str.replace_all(r"\p{Lu}", "8")
    )


def _views(texts: pl.Series) -> sparse.csr_matrix:
    texts = texts.fill_null("")
    views = (
        (_WORDS.vectors(texts), _WORD_SHARE),
        (_SIGNS.vectors(texts.str.head(EDGE_CHARACTERS)), _EDGE_SHARE),
        (_SIGNS.vectors(texts.str.tail(EDGE_CHARACTERS)), _EDGE_SHARE),
        (_SIGNS.vectors(shapes(texts)), _SHAPE_SHARE),
    )
    for rows, share in views:
        rows.data *= np.float32(share**0.5)
    return sparse.hstack([rows for rows, _ in views], format="csr")


def _most_telling(
    rows: sparse.csr_matrix, author: NDArray[np.int64], models: int, count: int
) -> NDArray[np.int64]:
    """Return the columns that differ most between models, by the sum of squares between them."""
    size = len(author)
    indicator = sparse.csr_matrix(
        (np.ones(size, np.float32), (author, np.arange(size))), shape=(models, size)
    )
    sums = (indicator @ rows).tocsc()
    texts = np.bincount(author, minlength=models)
    # Sum over models of (their sum)^2 / (their texts), less the same of all texts together.
    squares = sums.copy()
    squares.data = squares.data**2 / np.maximum(texts, 1)[squares.indices]
    between = np.asarray(squares.sum(axis=0), np.float64).ravel()
    between -= np.asarray(sums.sum(axis=0), np.float64).ravel() ** 2 / max(size, 1)
    order = np.argsort(-between, kind="stable")[:count]
    return np.sort(order[between[order] > 0.0]).astype(np.int64)
