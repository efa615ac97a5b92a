"""The identity signal: who probably wrote the two responses, and what that makes of the battle.

Training battles name their models, those to be predicted do not. So the names
teach two things: how strong each model is and how often it ties
(`featlab.signals.identity.strengths`), and how its texts look
(`featlab.signals.identity.authorship`). A battle to be transformed shows texts only;
they give a posterior over models for either side, and every column is an
expectation under the two. No name and no outcome of such a battle is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from featlab.battles.turns import joined_turns
from featlab.columns import Column, Kind
from featlab.errors import BattleError
from featlab.parity import Parity
from featlab.randomness import derive_seed
from featlab.signals.identity.authorship import (
    PENALTY,
    Authorship,
    fit_authorship,
    views_of_texts,
)
from featlab.signals.identity.model_families import family
from featlab.signals.identity.sparse_softmax import SoftmaxWeights
from featlab.signals.identity.strengths import (
    STRENGTH_REGULARISATION,
    TIE_REGULARISATION,
    Strengths,
    fit_strengths,
)
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Need, Signal, State

Floats = NDArray[np.float64]

FAMILY = "identity signal"

COLUMNS: tuple[Column, ...] = tuple(
    Column(f"identity__{name}", parity, FAMILY, meaning, kind)
    for name, parity, kind, meaning in (
        (
            "strength_difference",
            Parity.ODD,
            Kind.SCALAR,
            "a - b of the expected strength of the writer (log odds)",
        ),
        ("win_margin", Parity.ODD, Kind.MARGIN, "P(a) - P(b) by Davidson's model, expected"),
        (
            "length_habit_difference",
            Parity.ODD,
            Kind.SCALAR,
            "a - b of the usual log(1 + characters) of the writer",
        ),
        (
            "entropy_difference",
            Parity.ODD,
            Kind.SCALAR,
            "a - b of the entropy of who wrote it (nats)",
        ),
        ("tie_rate", Parity.EVEN, Kind.SCALAR, "P(tie) by Davidson's model, expected"),
        (
            "strength_sum",
            Parity.EVEN,
            Kind.SCALAR,
            "a + b of the expected strength of the writer (log odds)",
        ),
        (
            "uncertainty_sum",
            Parity.EVEN,
            Kind.SCALAR,
            "a + b of the standard deviation of the writer's strength (log odds)",
        ),
        ("entropy_sum", Parity.EVEN, Kind.SCALAR, "a + b of the entropy of who wrote it (nats)"),
        ("same_model", Parity.EVEN, Kind.SCALAR, "chance that one model wrote both responses"),
        ("same_family", Parity.EVEN, Kind.SCALAR, "chance that one family wrote both responses"),
    )
)
"""The columns in order."""

_HABIT_REGULARISATION = 10.0
_CHUNK = 8_192


@dataclass(frozen=True)
class PreparedTexts:
    """Every response as hashed n-grams, those of side a before those of side b.

    Parameters
    ----------
    views : csr_matrix of float32, shape (2 n, buckets)
        See `featlab.signals.identity.authorship.views_of_texts`.
    log_length : float64 array of shape (2 n,)
        ``log(1 + characters)``.
    """

    views: sparse.csr_matrix = field(repr=False)
    log_length: Floats = field(repr=False)

    def __len__(self) -> int:
        return len(self.log_length) // 2

    def texts(self, rows: Rows) -> Rows:
        """Return where the texts of some battles stand: sides a, then sides b."""
        return np.concatenate([rows, rows + len(self)])


class IdentitySignal(Signal[PreparedTexts]):
    """Expected strengths, ties and kinship of the models behind a battle, from its texts.

    Parameters
    ----------
    regularisation, tie_regularisation : float
        Of the strengths and tie propensities, see
        `featlab.signals.identity.strengths.fit_strengths`.
    penalty : float
        Of the posterior, see `featlab.signals.identity.authorship.fit_authorship`.
    seed : int
        Root seed.

    Attributes
    ----------
    strengths : Strengths
        Of the models of the training battles, once fitted, as all that follow.
    authorship : Authorship
        What gives the posterior.
    length_habits : float64 array of shape (models of the posterior,)
        Usual ``log(1 + characters)`` of a model's texts, less the mean of all.

    Examples
    --------
    >>> IdentitySignal().columns()[1].meaning
    "P(a) - P(b) by Davidson's model, expected"
    """

    name = "identity"
    needs = frozenset({Need.MODEL_NAMES})

    strengths: Strengths
    authorship: Authorship
    length_habits: Floats

    def __init__(
        self,
        regularisation: float = STRENGTH_REGULARISATION,
        tie_regularisation: float = TIE_REGULARISATION,
        penalty: float = PENALTY,
        seed: int = 0,
    ) -> None:
        self.regularisation = regularisation
        self.tie_regularisation = tie_regularisation
        self.penalty = penalty
        self.seed = seed

    @classmethod
    def from_settings(cls, context: Context, fold: int) -> Self:
        """Return the signal with its usual penalties, and a seed of the fold's own."""
        return cls(seed=derive_seed(context.seed, "identity", fold))

    def columns(self) -> tuple[Column, ...]:
        """Return every column in order."""
        return COLUMNS

    def prepare(self, battles: pl.LazyFrame) -> PreparedTexts:
        """Hash every response once; a battle takes about 15 kB."""
        frame = battles.select(joined_turns(f"response_{side}") for side in "ab").collect()
        texts = pl.concat([column.rename("text") for column in frame])
        length = np.log1p(texts.str.len_chars().fill_null(0).to_numpy())
        return PreparedTexts(views_of_texts(texts), length)

    def fit(self, prepared: PreparedTexts, outcomes: Outcomes, rows: Rows) -> Self:
        """Learn strengths and ways of writing from battles with names.

        Responses whose model is null are left out.

        Raises
        ------
        BattleError
            When no training battle names two different models.
        """
        training = outcomes.take(rows)
        _require_names(training)
        self.strengths = fit_strengths(
            training.model_a,
            training.model_b,
            pl.Series(training.labels),
            training.weight,
            self.regularisation,
            tie_regularisation=self.tie_regularisation,
            tie_known=training.tie_known,
        )
        texts = prepared.texts(rows)
        names = pl.concat([training.model_a.rename("model"), training.model_b.rename("model")])
        weights = np.concatenate([training.weight, training.weight])
        self.authorship = fit_authorship(
            prepared.views,
            texts,
            names,
            weights,
            penalty=self.penalty,
            seed=derive_seed(self.seed, "identity"),
        )
        self.length_habits = _length_habits(
            prepared.log_length[texts], names, weights, self.authorship.models
        )
        return self

    def transform(self, prepared: PreparedTexts, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all: Float32."""
        tables = _Tables.of(self.strengths, self.authorship.models, self.length_habits)
        rows = np.arange(len(prepared)) if rows is None else rows
        parts = [pl.DataFrame(schema={column.name: pl.Float32 for column in COLUMNS})]
        for start in range(0, len(rows), _CHUNK):
            texts = prepared.texts(rows[start : start + _CHUNK])
            side_a, side_b = np.split(self.authorship.posterior(prepared.views[texts]), 2)
            values = tables.columns(side_a, side_b)
            parts.append(pl.DataFrame(values, parts[0].schema))
        return pl.concat(parts)

    def posterior(self, texts: pl.Series) -> pl.DataFrame:
        """Return the chance that each known model wrote each text: Float32, a column a model."""
        chances = self.authorship.posterior(views_of_texts(texts)).astype(np.float32)
        return pl.DataFrame(chances, schema=list(self.authorship.models))

    def state(self) -> State:
        """Return what was learned, and of whom."""
        strengths, authorship = self.strengths, self.authorship
        return State(
            {
                "strength": strengths.strength,
                "standard_error": strengths.standard_error,
                "tie": np.array([strengths.tie]),
                "tie_propensity": strengths.tie_propensity,
                "games": strengths.games,
                "buckets": authorship.buckets,
                "coefficients": authorship.weights.coefficients,
                "intercept": authorship.weights.intercept,
                "length_habits": self.length_habits,
            },
            {
                "settings": self.recipe(),
                "strengths_of": list(strengths.names),
                "posterior_over": list(authorship.models),
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the fitted signal that a state describes."""
        arrays, values = state.arrays, state.values
        signal = cls(**values["settings"])
        signal.strengths = Strengths(
            tuple(values["strengths_of"]),
            arrays["strength"],
            arrays["standard_error"],
            float(arrays["tie"][0]),
            arrays["tie_propensity"],
            arrays["games"],
        )
        signal.authorship = Authorship(
            tuple(values["posterior_over"]),
            arrays["buckets"],
            SoftmaxWeights(arrays["coefficients"], arrays["intercept"]),
        )
        signal.length_habits = arrays["length_habits"]
        return signal

    def recipe(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {
            "regularisation": self.regularisation,
            "tie_regularisation": self.tie_regularisation,
            "penalty": self.penalty,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class _Tables:
    """What each model, and each pair of models, adds to an expectation."""

    strength: Floats
    second_moment: Floats
    habit: Floats
    margin: Floats
    tie: Floats
    kin: Floats

    @classmethod
    def of(cls, strengths: Strengths, models: tuple[str, ...], habits: Floats) -> _Tables:
        strength = strengths.of(models)
        # A model that never fought may be anything that the others are.
        unknown = float(np.sqrt(np.mean(strengths.strength**2)))
        error = strengths.look_up(strengths.standard_error, models, unknown)
        propensity = strengths.look_up(strengths.tie_propensity, models, 0.0)
        count = len(models)
        first, second = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
        chances = strengths.probabilities(
            strength[first], strength[second], propensity[first] + propensity[second]
        ).reshape(count, count, 3)
        kind = np.array([family(model) for model in models])
        return cls(
            strength,
            strength**2 + error**2,
            habits,
            chances[:, :, 0] - chances[:, :, 1],
            chances[:, :, 2],
            (kind[:, None] == kind[None, :]).astype(np.float64),
        )

    def columns(self, side_a: Floats, side_b: Floats) -> list[NDArray[np.float32]]:
        """Return the values of `COLUMNS` from the posteriors of the sides."""
        strength_a, strength_b = _mean(side_a, self.strength), _mean(side_b, self.strength)
        deviation_a = np.sqrt(np.maximum(_mean(side_a, self.second_moment) - strength_a**2, 0.0))
        deviation_b = np.sqrt(np.maximum(_mean(side_b, self.second_moment) - strength_b**2, 0.0))
        entropy_a, entropy_b = _entropy(side_a), _entropy(side_b)
        # Both orders are computed and joined, so that exchanging the sides is exact.
        margin = (_pairs(side_a, self.margin, side_b) - _pairs(side_b, self.margin, side_a)) / 2.0
        tie = (_pairs(side_a, self.tie, side_b) + _pairs(side_b, self.tie, side_a)) / 2.0
        kin = (_pairs(side_a, self.kin, side_b) + _pairs(side_b, self.kin, side_a)) / 2.0
        values = [
            strength_a - strength_b,
            margin,
            _mean(side_a, self.habit) - _mean(side_b, self.habit),
            entropy_a - entropy_b,
            tie,
            strength_a + strength_b,
            deviation_a + deviation_b,
            entropy_a + entropy_b,
            (side_a * side_b).sum(axis=1),
            kin,
        ]
        return [column.astype(np.float32) for column in values]


def _require_names(training: Outcomes) -> None:
    for names in (training.model_a, training.model_b):
        if names.is_null().all():
            raise BattleError(
                "holds no name of a model, and the identity signal needs model_a and model_b",
                source="training battles",
                column=names.name,
                remedy="leave the identity signal out, or train on battles with names",
            )


def _length_habits(
    length: Floats, names: pl.Series, weights: Floats, models: tuple[str, ...]
) -> Floats:
    """Return each model's mean log length less that of all, shrunk as by some average texts."""
    known = np.flatnonzero(names.is_in(models).fill_null(False).to_numpy())
    model = names[known].replace_strict(models, range(len(models))).to_numpy().astype(np.int64)
    weight, count = weights[known], len(models)
    surplus = length[known] - weight @ length[known] / max(float(weight.sum()), 1e-12)
    total = np.bincount(model, weight * surplus, count)
    habits: Floats = total / (np.bincount(model, weight, count) + _HABIT_REGULARISATION)
    return habits


def _mean(chances: Floats, values: Floats) -> Floats:
    # Not a matrix product: BLAS may sum a row otherwise where it stands elsewhere.
    mean: Floats = (chances * values).sum(axis=1)
    return mean


def _pairs(first: Floats, table: Floats, second: Floats) -> Floats:
    """Return for each row the mean of `table` over both posteriors."""
    mean: Floats = (np.einsum("ni,ij->nj", first, table) * second).sum(axis=1)
    return mean


def _entropy(chances: Floats) -> Floats:
    entropy: Floats = -(chances * np.log(np.maximum(chances, 1e-300))).sum(axis=1)
    return entropy
