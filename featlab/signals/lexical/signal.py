"""The lexical signal: what the wording of the two responses says of who wins, and of a tie.

Each response is a row of hashed n-grams (`featlab.signals.sparse_text`). "A or
B" is a logistic regression without intercept on the difference of the two rows,
so its margin is odd by construction; "tie" is one on the absolute difference,
even by construction. There is one pair of them for the characters and one for
the words, and one tie logit for the prompt's words, each with its own penalty,
chosen inside the training rows on folds that keep a prompt's battles together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from scipy import sparse

from featlab.battles.schema import TIE
from featlab.battles.turns import joined_turns
from featlab.columns import Column, Kind
from featlab.errors import ConfigError
from featlab.parity import Parity
from featlab.randomness import derive_seed
from featlab.signals.lexical.sparse_logistic import (
    Examples,
    LogisticWeights,
    best_penalty,
    ridge_logistic,
)
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Cost, Signal
from featlab.signals.sparse_text import SparseText
from featlab.signals.state import State
from featlab.threads import in_threads

logger = logging.getLogger(__name__)

CHARACTERS = SparseText("char", 1, 4)
WORDS = SparseText("word", 1, 2)
MARGIN_PENALTIES = (2.0, 1.0, 0.5, 0.25)
TIE_PENALTIES = (4.0, 2.0, 1.0, 0.5)
PROMPT_PENALTIES = (16.0, 8.0, 4.0, 2.0)

FAMILY = "lexical signal"

_PROMPT = "prompt"
_CHUNK = 1_024
"""Battles that are worked on at once: few, so that what is let go is soon used again."""
_ENTRIES, _PARTS = 1 << 20, 4
"""Of a part of an inner fold, at least, and its parts, at most: each is a thread's work."""

Blocks = dict[str, sparse.csr_matrix]
"""Unit -> row of response a less that of response b; ``prompt`` -> row of the prompt."""


@dataclass(eq=False)
class LexicalSignal(Signal[Blocks]):
    """Margin and tie logits of a battle from hashed n-grams of its texts.

    Columns: ``lexical_{unit}__margin`` (odd) is the log odds that a beats b,
    ``lexical_{unit}__tie`` (even) and ``lexical_prompt__tie`` (even) are log
    odds of a tie.

    Parameters
    ----------
    responses : sequence of SparseText
        The n-grams of the responses: one pair of columns each, named by unit.
    prompt : SparseText, optional
        The n-grams of the prompt; ``None`` leaves its column out.
    margin_penalties, tie_penalties, prompt_penalties : sequence of float
        Ridge penalties to choose from, in units of the summed log loss.
    inner_folds : int
        Folds of the training rows on which a penalty is chosen.
    seed : int
        Root seed of those folds.

    Attributes
    ----------
    weights : dict of str to LogisticWeights
        For each column, once fitted.

    Raises
    ------
    ConfigError
        When two sets of response n-grams have the same unit.

    Examples
    --------
    >>> [column.name for column in LexicalSignal(prompt=None).columns()]
    ['lexical_char__margin', 'lexical_char__tie', 'lexical_word__margin', 'lexical_word__tie']
    """

    name = "lexical"
    cost = Cost.WHOLE_MACHINE

    responses: Sequence[SparseText] = (CHARACTERS, WORDS)
    prompt: SparseText | None = WORDS
    margin_penalties: Sequence[float] = MARGIN_PENALTIES
    tie_penalties: Sequence[float] = TIE_PENALTIES
    prompt_penalties: Sequence[float] = PROMPT_PENALTIES
    inner_folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if len({spec.unit for spec in self.responses}) < len(self.responses):
            raise ConfigError("lexical signal: two sets of response n-grams have the same unit")
        self.weights: dict[str, LogisticWeights] = {}

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the signal with its usual n-grams, and a seed of the fold's own."""
        return cls(seed=derive_seed(context.seed, "lexical", fold))

    def columns(self) -> tuple[Column, ...]:
        """Return every column in order."""
        return tuple(regression.column for regression in self._regressions())

    def prepare(self, battles: pl.LazyFrame) -> Blocks:
        """Hash every text once; a battle takes about 23 kB."""
        frame = battles.select(
            joined_turns(name) for name in ("prompt", "response_a", "response_b")
        ).collect()
        blocks = {spec.unit: _differences(spec, frame) for spec in self.responses}
        return blocks | ({_PROMPT: self.prompt.vectors(frame["prompt"])} if self.prompt else {})

    def fit(self, prepared: Blocks, outcomes: Outcomes, rows: Rows) -> Self:
        """Choose every column's penalty on inner folds and fit it on all training rows."""
        training = outcomes.take(rows)
        folds = training.inner_folds(self.inner_folds, self.seed, self.name)
        inner = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        for block, matrix in prepared.items():
            least = _ENTRIES * matrix.shape[0] // max(matrix.nnz, 1) + 1
            parts = [np.array_split(fold, np.clip(len(fold) // least, 1, _PARTS)) for fold in inner]
            # Made inside the call alone, so that no block's copies outlive it.
            self._fit_block(
                block, [[_Copy.of(matrix, training, rows, part) for part in fold] for fold in parts]
            )
        return self

    def _fit_block(self, block: str, copies: Sequence[Sequence[_Copy]]) -> None:
        for regression in self._regressions(block):
            name, even = regression.column.name, regression.even
            # The margin comes first: it is done with the signs when the tie drops them.
            folds = [[copy.ties() if even else copy.decisive() for copy in fold] for fold in copies]
            parts = [part for fold in folds for part in fold]
            if len(np.unique(np.concatenate([part.targets for part in parts]))) < 2:
                logger.warning("%s: the training battles show one outcome only", name)
            penalty = best_penalty(folds, regression.penalties, intercept=even)
            logger.info("%s: penalty %g", name, penalty)
            self.weights[name] = ridge_logistic(parts, penalty, intercept=even)

    def transform(self, prepared: Blocks, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all: Float32."""
        rows = np.arange(next(iter(prepared.values())).shape[0]) if rows is None else rows
        logits = {column.name: np.empty(len(rows), np.float32) for column in self.columns()}

        def fill(start: int) -> None:
            part = slice(start, start + _CHUNK)
            for block, matrix in prepared.items():
                features = matrix[rows[part]]
                for regression in self._regressions(block):
                    # The margin comes first: it is done with the signs when the tie drops them.
                    if regression.even:
                        np.abs(features.data, out=features.data)
                    name = regression.column.name
                    logits[name][part] = self.weights[name].logits(features)

        in_threads(fill, range(0, len(rows), _CHUNK))
        return pl.DataFrame(logits)

    def state(self) -> State:
        """Return the coefficients, and what they belong to."""
        return State(
            {name: weights.coefficients for name, weights in self.weights.items()},
            {
                "settings": self.recipe(),
                "intercepts": {name: weights.intercept for name, weights in self.weights.items()},
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the fitted signal that a state describes."""
        settings = dict(state.values["settings"])
        settings["responses"] = [SparseText(**spec) for spec in settings["responses"]]
        settings["prompt"] = SparseText(**settings["prompt"]) if settings["prompt"] else None
        signal = cls(**settings)
        signal.weights = {
            column.name: LogisticWeights(
                state.arrays[column.name], float(state.values["intercepts"][column.name])
            )
            for column in signal.columns()
        }
        return signal

    def recipe(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return asdict(self)

    def _regressions(self, block: str | None = None) -> Iterator[_Regression]:
        """Yield the regressions on one block, or on all, in the order of their columns."""
        for unit in (spec.unit for spec in self.responses):
            if block in (None, unit):
                texts = f"from the {unit} n-grams of the responses"
                yield _Regression(unit, False, texts, self.margin_penalties)
                yield _Regression(unit, True, texts, self.tie_penalties)
        if self.prompt and block in (None, _PROMPT):
            texts = f"from the {self.prompt.unit} n-grams of the prompt"
            yield _Regression(_PROMPT, True, texts, self.prompt_penalties)


class _Regression(NamedTuple):
    """What one column is fitted on: even ones tell a tie from the rest, others a from b."""

    block: str
    even: bool
    texts: str
    penalties: Sequence[float]

    @property
    def column(self) -> Column:
        """Return the column that its logits are."""
        name = f"lexical_{self.block}__{'tie' if self.even else 'margin'}"
        if self.even:
            return Column(name, Parity.EVEN, FAMILY, f"log odds of a tie, {self.texts}")
        meaning = f"log odds that a beats b, {self.texts}"
        return Column(name, Parity.ODD, FAMILY, meaning, Kind.MARGIN)


class _Copy(NamedTuple):
    """Some rows of a block, in an order in which those of either regression are consecutive.

    So one copy serves both, and leaving a fold out takes none.
    """

    rows: sparse.csr_matrix
    outcomes: Outcomes
    rank: Rows

    @classmethod
    def of(cls, block: sparse.csr_matrix, training: Outcomes, rows: Rows, part: Rows) -> _Copy:
        """Copy some of the training rows of a block."""
        tie, known = training.labels[part] == TIE, training.tie_known[part]
        # Won where ties are hidden, won, tied, and ties that should not be known.
        rank = np.where(tie, np.where(known, 2, 3), np.where(known, 1, 0))
        order = np.argsort(rank, kind="stable")
        return cls(block[rows[part[order]]], training.take(part[order]), rank[order])

    def decisive(self) -> Examples:
        """Return the rows that one side won: did a?"""
        return self._examples(0, 1, hit=0)

    def ties(self) -> Examples:
        """Return the rows that could have been a tie, signless from now on: were they?"""
        np.abs(self.rows.data, out=self.rows.data)
        return self._examples(1, 2, hit=TIE)

    def _examples(self, first: int, last: int, hit: int) -> Examples:
        start, stop = np.searchsorted(self.rank, (first, last + 1))
        ends = self.rows.indptr[start : stop + 1]
        own = slice(ends[0], ends[-1])
        rows = sparse.csr_matrix(
            (self.rows.data[own], self.rows.indices[own], ends - ends[0]),
            shape=(stop - start, self.rows.shape[1]),
        )
        targets = (self.outcomes.labels[start:stop] == hit).astype(np.float64)
        return Examples(rows, targets, self.outcomes.weight[start:stop])


def _differences(spec: SparseText, texts: pl.DataFrame) -> sparse.csr_matrix:
    """Return the row of response a less that of response b, exactly odd, for every battle."""
    # By chunks, so that the rows of the sides are never held beside all differences.
    parts = [
        rows[: len(chunk)] - rows[len(chunk) :]
        for chunk in texts.iter_slices(_CHUNK)
        for rows in [spec.vectors(pl.concat([chunk["response_a"], chunk["response_b"]]))]
    ]
    none = sparse.csr_matrix((0, spec.buckets), dtype=np.float32)
    return sparse.vstack([none, *parts], format="csr")
