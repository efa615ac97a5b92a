"""The identity signal: who probably wrote the two responses, and what that makes of the battle.

Training battles name their models, those to be predicted do not. So the names
teach two things: how strong each model is and how often it ties
(`featlab.signals.identity.strengths`), and how its texts look
(`featlab.signals.identity.authorship`). A battle to be transformed shows texts only;
they give a posterior over models for either side, and every column is an
expectation under the two. No name and no outcome of such a battle is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featlab.battles.turns import joined_turns
from featlab.errors import BattleError, BundleError
from featlab.files import atomic_path, read_json, write_json
from featlab.parity import Parity
from featlab.randomness import derive_seed
from featlab.signals.identity.authorship import PENALTY, Authorship, fit_authorship
from featlab.signals.identity.model_families import family
from featlab.signals.identity.sparse_softmax import SoftmaxWeights
from featlab.signals.identity.strengths import (
    STRENGTH_REGULARISATION,
    TIE_REGULARISATION,
    Strengths,
    fit_strengths,
)
from featlab.signals.training_rows import TrainingRows

Floats = NDArray[np.float64]

COLUMNS: dict[str, Parity] = {
    "identity__strength_difference": Parity.ODD,
    "identity__win_margin": Parity.ODD,
    "identity__length_habit_difference": Parity.ODD,
    "identity__entropy_difference": Parity.ODD,
    "identity__tie_rate": Parity.EVEN,
    "identity__strength_sum": Parity.EVEN,
    "identity__uncertainty_sum": Parity.EVEN,
    "identity__entropy_sum": Parity.EVEN,
    "identity__same_model": Parity.EVEN,
    "identity__same_family": Parity.EVEN,
}
"""The columns and their parities, in order."""

FORMAT = 1
STATE = "identity.safetensors"
DESCRIPTION = "identity.json"

_HABIT_REGULARISATION = 10.0
_CHUNK = 8_192


class IdentitySignal(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Expected strengths, ties and kinship of the models behind a battle, from its texts.

    The columns are those of `COLUMNS`: differences of the sides' expected
    strength (log odds), of the usual log length of their models' texts and of
    the posteriors' entropy (nats); P(a) - P(b) and P(tie) as Davidson's model
    gives them, over both posteriors; sums over the sides of expected strength,
    of its standard deviation and of entropy; and the chances that both sides
    are one model, or one family. Transforming exchanged battles gives exactly
    the exchanged columns.

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
    strengths_ : Strengths
    authorship_ : Authorship
    length_habits_ : float64 array of shape (models of the posterior,)
        Usual ``log(1 + characters)`` of a model's texts, less the mean of all.

    Examples
    --------
    >>> from featlab.battles import read_battles
    >>> from featlab.generated import generate_battles
    >>> battles = read_battles(generate_battles(60, seed=1).train).collect()
    >>> signal = IdentitySignal().fit(battles.head(50))
    >>> signal.transform(battles.tail(10).drop("model_a", "model_b", "label")).shape
    (10, 10)
    """

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

    def fit(self, battles: pl.DataFrame, y: object = None) -> Self:
        """Learn strengths and ways of writing from battles with names.

        Parameters
        ----------
        battles : DataFrame
            Canonical battles with ``label``, ``model_a`` and ``model_b``;
            responses whose model is null are left out. ``tie_known`` and
            ``weight`` are read where they are there.
        y : ignored
            The outcomes are in the frame.

        Raises
        ------
        BattleError
            When no battle names two different models, or a label or weight is
            missing or out of range.
        """
        training = TrainingRows.of(battles)
        _require_names(battles)
        self.strengths_: Strengths = fit_strengths(
            battles["model_a"],
            battles["model_b"],
            pl.Series(training.labels),
            training.weight,
            self.regularisation,
            tie_regularisation=self.tie_regularisation,
            tie_known=training.tie_known,
        )
        texts = pl.concat([_texts(battles, side) for side in "ab"])
        names = pl.concat(
            [battles[f"model_{side}"].cast(pl.String).alias("model") for side in "ab"]
        )
        weights = np.concatenate([training.weight, training.weight])
        self.authorship_: Authorship = fit_authorship(
            texts,
            names,
            weights,
            penalty=self.penalty,
            seed=derive_seed(self.seed, "identity"),
        )
        self.length_habits_: Floats = _length_habits(texts, names, weights, self.authorship_.models)
        return self

    def transform(self, battles: pl.DataFrame) -> pl.DataFrame:
        """The signal's columns, Float32, one row a battle in the order given.

        Reads ``response_a`` and ``response_b`` only; a row's values depend on
        that row alone.
        """
        check_is_fitted(self, "authorship_")
        tables = _Tables.of(self.strengths_, self.authorship_.models, self.length_habits_)
        parts = []
        for chunk in battles.iter_slices(_CHUNK):
            side_a, side_b = (self.authorship_.posterior(_texts(chunk, side)) for side in "ab")
            values = tables.columns(side_a, side_b)
            parts.append(
                pl.DataFrame([pl.Series(name, values[name].astype(np.float32)) for name in COLUMNS])
            )
        return pl.concat([pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.Float32)), *parts])

    def posterior(self, texts: pl.Series) -> pl.DataFrame:
        """The chance that each known model wrote each text: Float32, a column a model."""
        check_is_fitted(self, "authorship_")
        chances = self.authorship_.posterior(texts).astype(np.float32)
        return pl.DataFrame(chances, schema=list(self.authorship_.models))

    def parity(self) -> dict[str, Parity]:
        """The parity of every column, in order."""
        return dict(COLUMNS)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The names of the columns, in order."""
        return np.array(list(COLUMNS), dtype=object)

    def save(self, folder: Path) -> None:
        """Write what was learned: numbers as safetensors, names and settings as JSON."""
        from safetensors.numpy import save_file

        check_is_fitted(self, "authorship_")
        strengths, authorship = self.strengths_, self.authorship_
        state = {
            "strength": strengths.strength,
            "standard_error": strengths.standard_error,
            "tie": np.array([strengths.tie]),
            "tie_propensity": strengths.tie_propensity,
            "games": strengths.games,
            "buckets": authorship.buckets,
            "coefficients": authorship.weights.coefficients,
            "intercept": authorship.weights.intercept,
            "length_habits": self.length_habits_,
        }
        with atomic_path(folder / STATE) as path:
            save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, path)
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "settings": self.get_params(),
                "strengths_of": list(strengths.names),
                "posterior_over": list(authorship.models),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            When the folder's content is no identity signal.
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
            signal = cls(**description["settings"])
            state = load_file(folder / STATE)
            signal.strengths_ = Strengths(
                tuple(description["strengths_of"]),
                state["strength"],
                state["standard_error"],
                float(state["tie"][0]),
                state["tie_propensity"],
                state["games"],
            )
            signal.authorship_ = Authorship(
                tuple(description["posterior_over"]),
                state["buckets"],
                SoftmaxWeights(state["coefficients"], state["intercept"]),
            )
            signal.length_habits_ = state["length_habits"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BundleError(f"{folder}: holds no identity signal: {error}") from error
        return signal


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

    def columns(self, side_a: Floats, side_b: Floats) -> dict[str, Floats]:
        """Every column, float64, from the posteriors of the sides."""
        strength_a, strength_b = _mean(side_a, self.strength), _mean(side_b, self.strength)
        deviation_a = np.sqrt(np.maximum(_mean(side_a, self.second_moment) - strength_a**2, 0.0))
        deviation_b = np.sqrt(np.maximum(_mean(side_b, self.second_moment) - strength_b**2, 0.0))
        entropy_a, entropy_b = _entropy(side_a), _entropy(side_b)
        habit_a, habit_b = _mean(side_a, self.habit), _mean(side_b, self.habit)
        # Both orders are computed and joined, so that exchanging the sides is exact.
        margin = (_pairs(side_a, self.margin, side_b) - _pairs(side_b, self.margin, side_a)) / 2.0
        tie = (_pairs(side_a, self.tie, side_b) + _pairs(side_b, self.tie, side_a)) / 2.0
        kin = (_pairs(side_a, self.kin, side_b) + _pairs(side_b, self.kin, side_a)) / 2.0
        return {
            "identity__strength_difference": strength_a - strength_b,
            "identity__win_margin": margin,
            "identity__length_habit_difference": habit_a - habit_b,
            "identity__entropy_difference": entropy_a - entropy_b,
            "identity__tie_rate": tie,
            "identity__strength_sum": strength_a + strength_b,
            "identity__uncertainty_sum": deviation_a + deviation_b,
            "identity__entropy_sum": entropy_a + entropy_b,
            "identity__same_model": (side_a * side_b).sum(axis=1),
            "identity__same_family": kin,
        }


def _require_names(battles: pl.DataFrame) -> None:
    for side in ("model_a", "model_b"):
        if side not in battles.columns or battles[side].is_null().all():
            raise BattleError(
                "holds no name of a model, and the identity signal needs model_a and model_b",
                source="training battles",
                column=side,
                remedy="leave the identity signal out, or train on battles with names",
            )


def _texts(battles: pl.DataFrame, side: str) -> pl.Series:
    return battles.select(joined_turns(f"response_{side}").alias("response")).to_series()


def _length_habits(
    texts: pl.Series, names: pl.Series, weights: Floats, models: tuple[str, ...]
) -> Floats:
    """Each model's mean log length less that of all, shrunk as by so many average texts."""
    length = np.log1p(texts.str.len_chars().fill_null(0).to_numpy())
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
    """For each row, the mean of `table` over both posteriors."""
    mean: Floats = (np.einsum("ni,ij->nj", first, table) * second).sum(axis=1)
    return mean


def _entropy(chances: Floats) -> Floats:
    entropy: Floats = -(chances * np.log(np.maximum(chances, 1e-300))).sum(axis=1)
    return entropy
