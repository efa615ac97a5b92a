r"""The choice model that outcomes are drawn from: Davidson's, on a stated utility.

With the difference of utilities :math:`u` and the weight of a tie :math:`\nu`,

.. math::
    P(a) = e^{u/2} / Z,\quad P(b) = e^{-u/2} / Z,\quad P(tie) = \nu / Z,
    \quad Z = e^{u/2} + e^{-u/2} + \nu .

Davidson, R. R. (1970): On extending the Bradley-Terry model to accommodate
ties in paired comparison experiments. *JASA* 65(329), 317-328.

The utility depends on who wrote a response and on what can be seen in it;
`ChoiceModel` states each weight. Exchanging the sides changes the sign of
:math:`u` and nothing else, unless a position bias is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import xlogy

from featlab.battles import PROBABILITIES, joined_turns

REFUSAL = r"I can't assist|not able to|I cannot|I must decline|unable to (?:support|answer)"
"""Matches every family's refusal and no other sentence of the generated texts."""

LISTED = r"(?m)^(?:#{1,6} |[-*•] |[0-9]+\. |\*\*)"
"""Matches a response with a header, a list or a bold lead."""

SHORT = 80
"""Responses of fewer characters are short."""


@dataclass(frozen=True)
class ChoiceModel:
    """Weights of the utility and of the tie, in units of log odds.

    The utility of a response that is not blank is its model's strength plus
    `refusal`, `listed` and `fenced` where they apply; a blank response has
    `blank` instead, whoever wrote it. To the difference of the utilities comes
    `length` times the difference of ``log(1 + characters)``, held within
    plus or minus `length_limit`. Where both texts are the same, the difference
    is 0.

    The log of a tie's weight is `tie`, plus `tie_same` where both texts are
    the same, `tie_refused` where both refuse, and `tie_short` where both are
    short.

    Parameters
    ----------
    position_bias : float
        Added to the difference in favour of side a. The default 0 keeps the
        true probabilities exact under an exchange of the sides.
    """

    length: float = 0.5
    length_limit: float = 2.0
    refusal: float = -1.2
    listed: float = 0.35
    fenced: float = 0.7
    blank: float = -2.5
    tie: float = 0.05
    tie_same: float = 2.2
    tie_refused: float = 1.0
    tie_short: float = 0.5
    position_bias: float = 0.0

    def probabilities(
        self, battles: pl.DataFrame, strengths: Mapping[str, float]
    ) -> NDArray[np.float64]:
        """Compute the true probabilities of the outcomes a, b and tie.

        Parameters
        ----------
        battles : DataFrame
            Canonical battles with ``model_a`` and ``model_b``.
        strengths : mapping of str to float
            Latent strength of each model.

        Returns
        -------
        array of float64, shape (battles, 3)
            Rows sum to 1.
        """
        a, b = pl.col("a"), pl.col("b")
        size_a, size_b = _characters(a), _characters(b)
        longer = (size_a.log1p() - size_b.log1p()).clip(-self.length_limit, self.length_limit)
        difference = (
            self._utility(a, pl.col("model_a"), strengths)
            - self._utility(b, pl.col("model_b"), strengths)
            + self.length * longer
        )
        same = a == b
        table = (
            battles.lazy()
            .with_columns(
                joined_turns("response_a").alias("a"), joined_turns("response_b").alias("b")
            )
            .select(
                utility=pl.when(same).then(0.0).otherwise(difference) + self.position_bias,
                tie=self.tie
                + self.tie_same * same
                + self.tie_refused * (_refuses(a) & _refuses(b))
                + self.tie_short * (pl.max_horizontal(size_a, size_b) < SHORT),
            )
            .collect()
        )
        half = table["utility"].to_numpy() / 2.0
        weights = np.exp(np.stack([half, -half, table["tie"].to_numpy()], axis=1))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)

    def _utility(self, text: pl.Expr, model: pl.Expr, strengths: Mapping[str, float]) -> pl.Expr:
        names, values = list(strengths), list(map(float, strengths.values()))
        strength = model.replace_strict(names, values, return_dtype=pl.Float64)
        visible = (
            self.refusal * _refuses(text)
            + self.listed * text.str.contains(LISTED)
            + self.fenced * text.str.contains("```", literal=True)
        )
        blank = text.str.strip_chars().str.len_bytes() == 0
        return pl.when(blank).then(self.blank).otherwise(strength + visible)


def _characters(text: pl.Expr) -> pl.Expr:
    return text.str.len_chars().cast(pl.Float64)


def _refuses(text: pl.Expr) -> pl.Expr:
    return text.str.contains(REFUSAL)


def expected_log_loss(
    truth: NDArray[np.float64], predicted: NDArray[np.float64] | None = None
) -> float:
    """Return the mean log loss of predictions over all outcomes the truth allows.

    Free of the luck of the outcomes that were drawn. Without predictions it is
    the entropy of the truth, below which no predictor's expected loss lies.

    Parameters
    ----------
    truth, predicted : array, shape (battles, 3)
        Probabilities; `predicted` must be above 0 where `truth` is.

    Examples
    --------
    >>> truth = np.array([[0.5, 0.25, 0.25]])
    >>> round(expected_log_loss(truth), 4), round(expected_log_loss(truth, truth[:, ::-1]), 4)
    (1.0397, 1.213)
    """
    return float(-xlogy(truth, truth if predicted is None else predicted).sum(axis=1).mean())


def truth_matrix(truth: pl.DataFrame) -> NDArray[np.float64]:
    """Return the probability columns of a truth frame, shape (battles, 3)."""
    return truth.select(PROBABILITIES).to_numpy().astype(np.float64)
