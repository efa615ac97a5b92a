"""The identity signal: who probably wrote the two responses, and what that makes of the battle.

Training battles name their models, those to be predicted do not. So the names
teach two things: how strong each model is and how often it ties
(`featlab.signals.identity.strengths`), and how its texts look
(`featlab.signals.identity.authorship`). A battle to be transformed shows texts only;
they give a posterior over models for either side, and every column is an
expectation under the two. No name and no outcome of such a battle is read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
from featlab.signals.identity.strengths import (
    STRENGTH_REGULARISATION,
    TIE_REGULARISATION,
    Strengths,
    fit_strengths,
)
from featlab.signals.outcomes import Outcomes, Rows
from featlab.signals.signal import Context, Need, Signal
from featlab.signals.state import State

Floats = NDArray[np.float64]

FAMILY = "identity signal"

_ODD, _EVEN = Parity.ODD, Parity.EVEN
COLUMNS: tuple[Column, ...] = tuple(
    Column(f"identity__{name}", parity, FAMILY, meaning, Kind.MARGIN if margin else Kind.SCALAR)
    for name, parity, margin, meaning in (
        ("strength_difference", _ODD, False, "a - b of the writer's expected strength (log odds)"),
        ("win_margin", _ODD, True, "P(a) - P(b) by Davidson's model, expected"),
        ("length_habit_difference", _ODD, False, "a - b of the writer's usual log characters"),
        ("entropy_difference", _ODD, False, "a - b of the entropy of who wrote it (nats)"),
        ("tie_rate", _EVEN, False, "P(tie) by Davidson's model, expected"),
        ("strength_sum", _EVEN, False, "a + b of the writer's expected strength (log odds)"),
        ("uncertainty_sum", _EVEN, False, "a + b of the strength's standard deviation (log odds)"),
        ("entropy_sum", _EVEN, False, "a + b of the entropy of who wrote it (nats)"),
        ("same_model", _EVEN, False, "chance that one model wrote both responses"),
        ("same_family", _EVEN, False, "chance that one family of models wrote both responses"),
    )
)
"""The columns in order."""

_STRENGTHS = ("strength", "standard_error", "tie_propensity")
_AUTHORSHIP = ("buckets", "coefficients", "intercept")
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


@dataclass(eq=False)
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

    regularisation: float = STRENGTH_REGULARISATION
    tie_regularisation: float = TIE_REGULARISATION
    penalty: float = PENALTY
    seed: int = 0

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
        self.strengths: Strengths = fit_strengths(
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
        self.authorship: Authorship = fit_authorship(
            prepared.views,
            texts,
            names,
            weights,
            self.penalty,
            derive_seed(self.seed, "identity"),
        )
        self.length_habits: Floats = _length_habits(
            prepared.log_length[texts], names, weights, self.authorship.models
        )
        return self

    def transform(self, prepared: PreparedTexts, rows: Rows | None = None) -> pl.DataFrame:
        """Return the columns of some rows, or of all: Float32."""
        rows = np.arange(len(prepared)) if rows is None else rows
        values = np.empty((len(rows), len(COLUMNS)), np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            posteriors = self.authorship.posterior(prepared.views[prepared.texts(rows[part])])
            values[part] = np.column_stack(self._expectations(*np.split(posteriors, 2)))
        return pl.DataFrame(values, [column.name for column in COLUMNS])

    def posterior(self, texts: pl.Series) -> pl.DataFrame:
        """Return the chance that each known model wrote each text: Float32, a column a model."""
        chances = self.authorship.posterior(views_of_texts(texts)).astype(np.float32)
        return pl.DataFrame(chances, schema=list(self.authorship.models))

    def state(self) -> State:
        """Return what was learned, and of whom."""
        arrays = {name: getattr(self.strengths, name) for name in _STRENGTHS}
        arrays |= {name: getattr(self.authorship, name) for name in _AUTHORSHIP}
        return State(
            arrays | {"length_habits": self.length_habits},
            {
                "settings": self.recipe(),
                "strengths_of": list(self.strengths.names),
                "tie": self.strengths.tie,
                "posterior_over": list(self.authorship.models),
            },
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the fitted signal that a state describes."""
        arrays, values = state.arrays, state.values
        signal = cls(**values["settings"])
        signal.strengths = Strengths(
            tuple(values["strengths_of"]), float(values["tie"]), *(arrays[n] for n in _STRENGTHS)
        )
        signal.authorship = Authorship(
            tuple(values["posterior_over"]), *(arrays[n] for n in _AUTHORSHIP)
        )
        signal.length_habits = arrays["length_habits"]
        return signal

    def recipe(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return asdict(self)

    def _expectations(self, side_a: Floats, side_b: Floats) -> list[Floats]:
        """Return the values of `COLUMNS` from the posteriors of the sides."""
        models, strengths = self.authorship.models, self.strengths
        count = len(models)
        strength = strengths.of(models)
        # A model that never fought may be anything that the others are.
        unknown = float(np.sqrt(np.mean(strengths.strength**2)))
        error = strengths.look_up(strengths.standard_error, models, unknown)
        propensity = strengths.look_up(strengths.tie_propensity, models, 0.0)
        first, second = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
        chances = strengths.probabilities(
            strength[first], strength[second], propensity[first] + propensity[second]
        ).reshape(count, count, 3)
        kind = np.array([family(model) for model in models])
        kin = (kind[:, None] == kind[None, :]).astype(np.float64)

        strength_a, strength_b = _mean(side_a, strength), _mean(side_b, strength)
        squares = strength**2 + error**2
        deviation_a = np.sqrt(np.maximum(_mean(side_a, squares) - strength_a**2, 0.0))
        deviation_b = np.sqrt(np.maximum(_mean(side_b, squares) - strength_b**2, 0.0))
        entropy_a, entropy_b = _entropy(side_a), _entropy(side_b)
        lead, tie = chances[:, :, 0] - chances[:, :, 1], chances[:, :, 2]
        # Both orders are computed and joined, so that exchanging the sides is exact.
        return [
            strength_a - strength_b,
            (_pairs(side_a, lead, side_b) - _pairs(side_b, lead, side_a)) / 2.0,
            _mean(side_a, self.length_habits) - _mean(side_b, self.length_habits),
            entropy_a - entropy_b,
            (_pairs(side_a, tie, side_b) + _pairs(side_b, tie, side_a)) / 2.0,
            strength_a + strength_b,
            deviation_a + deviation_b,
            entropy_a + entropy_b,
            (side_a * side_b).sum(axis=1),
            (_pairs(side_a, kin, side_b) + _pairs(side_b, kin, side_a)) / 2.0,
        ]


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
