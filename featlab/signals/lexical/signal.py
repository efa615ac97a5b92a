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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featlab.battles.schema import TIE
from featlab.battles.turns import joined_turns
from featlab.errors import BundleError, ConfigError
from featlab.files import atomic_path, read_json, write_json
from featlab.parity import Parity
from featlab.signals.lexical.sparse_logistic import (
    Floats,
    LogisticWeights,
    held_out_losses,
    ridge_logistic,
)
from featlab.signals.sparse_text import SparseText
from featlab.signals.training_rows import TrainingRows, inner_folds

logger = logging.getLogger(__name__)

CHARACTERS = SparseText("char", 1, 4)
WORDS = SparseText("word", 1, 2)
MARGIN_PENALTIES = (2.0, 1.0, 0.5, 0.25)
TIE_PENALTIES = (4.0, 2.0, 1.0, 0.5)
PROMPT_PENALTIES = (16.0, 8.0, 4.0, 2.0)

FORMAT = 1
STATE = "lexical.safetensors"
DESCRIPTION = "lexical.json"
PROMPT_COLUMN = "lexical_prompt__tie"

_CHUNK = 16_384


class LexicalSignal(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Margin and tie logits of a battle from hashed n-grams of its texts.

    Columns: ``lexical_{unit}__margin`` (odd) is the log odds that a beats b,
    ``lexical_{unit}__tie`` (even) and ``lexical_prompt__tie`` (even) are log
    odds of a tie. Transforming exchanged battles gives exactly the exchanged
    columns.

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
    weights_ : dict of str to LogisticWeights
        For each column.
    penalties_ : dict of str to float
        The penalty chosen for each column.

    Examples
    --------
    >>> from featlab.generated import generate_battles
    >>> battles = generate_battles(60)  # doctest: +SKIP
    >>> LexicalSignal().fit(battles).transform(battles).columns  # doctest: +SKIP
    ['lexical_char__margin', 'lexical_char__tie', 'lexical_word__margin', 'lexical_word__tie',
     'lexical_prompt__tie']
    """

    def __init__(
        self,
        responses: Sequence[SparseText] = (CHARACTERS, WORDS),
        prompt: SparseText | None = WORDS,
        margin_penalties: Sequence[float] = MARGIN_PENALTIES,
        tie_penalties: Sequence[float] = TIE_PENALTIES,
        prompt_penalties: Sequence[float] = PROMPT_PENALTIES,
        inner_folds: int = 3,
        seed: int = 0,
    ) -> None:
        self.responses = responses
        self.prompt = prompt
        self.margin_penalties = margin_penalties
        self.tie_penalties = tie_penalties
        self.prompt_penalties = prompt_penalties
        self.inner_folds = inner_folds
        self.seed = seed

    def fit(self, battles: pl.DataFrame, y: object = None) -> Self:
        """Choose every column's penalty on inner folds and fit it on all training rows.

        Parameters
        ----------
        battles : DataFrame
            Canonical battles with ``label``; `TIE_KNOWN` and `WEIGHT` of
            `featlab.signals.training_rows` are read where they are there.
            Names of models are not.
        y : ignored
            The outcomes are in the frame.

        Raises
        ------
        BattleError
            When there are no battles, or a label or weight is missing or out
            of range.
        """
        training = TrainingRows.of(battles)
        folds = inner_folds(battles, self.inner_folds, self.seed, "lexical")
        self.weights_: dict[str, LogisticWeights] = {}
        self.penalties_: dict[str, float] = {}
        for unit, spec in self._responses().items():
            rows = _difference(spec, battles)
            self._fit_margin(f"lexical_{unit}__margin", rows, training, folds)
            # The difference is done with, so its values become their absolutes in place.
            np.abs(rows.data, out=rows.data)
            self._fit_tie(f"lexical_{unit}__tie", rows, training, folds, self.tie_penalties)
        if self.prompt is not None:
            rows = self.prompt.vectors(_text("prompt", battles))
            self._fit_tie(PROMPT_COLUMN, rows, training, folds, self.prompt_penalties)
        return self

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        """The signal's columns, Float32, one row a battle in the order given.

        Reads ``prompt``, ``response_a`` and ``response_b`` only; a row's values
        depend on that row alone.
        """
        check_is_fitted(self, "weights_")
        parts = [self._transform_chunk(chunk) for chunk in battles.iter_slices(_CHUNK)]
        schema = dict.fromkeys(self.parity(), pl.Float32)
        return pl.concat([pl.DataFrame(schema=schema), *parts])

    def parity(self) -> dict[str, Parity]:
        """The parity of every column, in order."""
        parity = {}
        for unit in self._responses():
            parity[f"lexical_{unit}__margin"] = Parity.ODD
            parity[f"lexical_{unit}__tie"] = Parity.EVEN
        if self.prompt is not None:
            parity[PROMPT_COLUMN] = Parity.EVEN
        return parity

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The names of the columns, in order."""
        return np.array(list(self.parity()), dtype=object)

    def save(self, folder: Path) -> None:
        """Write the coefficients as safetensors, and as JSON what they belong to."""
        from safetensors.numpy import save_file

        check_is_fitted(self, "weights_")
        state = {name: weights.coefficients for name, weights in self.weights_.items()}
        with atomic_path(folder / STATE) as path:
            save_file(state, path)
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "responses": [asdict(spec) for spec in self.responses],
                "prompt": asdict(self.prompt) if self.prompt else None,
                "intercepts": {name: fitted.intercept for name, fitted in self.weights_.items()},
                "penalties": self.penalties_,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            When the folder's content is no lexical signal.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            description = read_json(folder / DESCRIPTION)
            if description["format"] != FORMAT:
                raise BundleError(
                    f"{folder / DESCRIPTION}: has format {description['format']}, "
                    f"this version reads {FORMAT}"
                )
            prompt = description["prompt"]
            signal = cls(
                tuple(SparseText(**spec) for spec in description["responses"]),
                SparseText(**prompt) if prompt else None,
            )
            state = load_file(folder / STATE)
            signal.penalties_ = description["penalties"]
            signal.weights_ = {
                name: LogisticWeights(state[name], float(description["intercepts"][name]))
                for name in signal.parity()
            }
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder}: holds no lexical signal: {error}") from error
        return signal

    def _responses(self) -> dict[str, SparseText]:
        """The n-grams of the responses by the name of their unit."""
        named: dict[str, SparseText] = {spec.unit: spec for spec in self.responses}
        if len(named) < len(self.responses):
            raise ConfigError("lexical signal: two sets of response n-grams have the same unit")
        return named

    def _fit_margin(
        self,
        column: str,
        rows: sparse.csr_matrix,
        training: TrainingRows,
        folds: NDArray[np.int64],
    ) -> None:
        a_won = (training.labels == 0).astype(np.float64)
        kept = training.decisive
        self._fit_column(column, rows, a_won, kept, training, folds, self.margin_penalties)

    def _fit_tie(
        self,
        column: str,
        rows: sparse.csr_matrix,
        training: TrainingRows,
        folds: NDArray[np.int64],
        penalties: Sequence[float],
    ) -> None:
        tied = (training.labels == TIE).astype(np.float64)
        self._fit_column(column, rows, tied, training.tie_or_not, training, folds, penalties)

    def _fit_column(
        self,
        column: str,
        rows: sparse.csr_matrix,
        targets: Floats,
        kept: NDArray[np.int64],
        training: TrainingRows,
        folds: NDArray[np.int64],
        penalties: Sequence[float],
    ) -> None:
        intercept = self.parity()[column] is Parity.EVEN
        if len(kept) < len(targets):
            rows, targets, folds = rows[kept], targets[kept], folds[kept]
        weight = training.weight[kept]
        if len(np.unique(targets)) < 2:
            logger.warning("%s: the training battles show one outcome only", column)
        losses = held_out_losses(
            rows, targets, folds, penalties, intercept=intercept, sample_weight=weight
        )
        penalty = penalties[int(losses.argmin())]
        logger.info("%s: penalty %g, held-out losses %s", column, penalty, losses.round(4))
        (self.weights_[column],) = ridge_logistic(
            rows, targets, [penalty], intercept=intercept, sample_weight=weight
        )
        self.penalties_[column] = penalty

    def _transform_chunk(self, battles: pl.DataFrame) -> pl.DataFrame:
        logits: dict[str, Floats] = {}
        for unit, spec in self._responses().items():
            rows = _difference(spec, battles)
            logits[f"lexical_{unit}__margin"] = self.weights_[f"lexical_{unit}__margin"].logits(
                rows
            )
            np.abs(rows.data, out=rows.data)
            logits[f"lexical_{unit}__tie"] = self.weights_[f"lexical_{unit}__tie"].logits(rows)
        if self.prompt is not None:
            rows = self.prompt.vectors(_text("prompt", battles))
            logits[PROMPT_COLUMN] = self.weights_[PROMPT_COLUMN].logits(rows)
        return pl.DataFrame(
            [pl.Series(name, values.astype(np.float32)) for name, values in logits.items()]
        )


def _text(column: str, battles: pl.DataFrame) -> pl.Series:
    return battles.select(joined_turns(column)).to_series()


def _difference(spec: SparseText, battles: pl.DataFrame) -> sparse.csr_matrix:
    """The row of response a less that of response b, exactly odd, for every battle."""
    side_a = spec.vectors(_text("response_a", battles))
    return side_a - spec.vectors(_text("response_b", battles))
