"""How much each feature of a response moves the vote: alone, and at equal length.

Effects are odds ratios for one standard deviation of the difference between
the two responses, over decisive battles. "At equal length" adds the log ratio
of lengths to the regression, the style control of Chatbot Arena (Li,
Angelopoulos and Chiang, "Does style matter?", LMSYS, 2024).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from featlab.features import FEATURES
from featlab.features.feature import Feature
from models.analysis.counts import outcomes_in
from models.analysis.differences import LENGTH, side_values
from models.evaluation.intervals import Floats, Groups, Z
from models.evaluation.metrics import Interval
from models.probabilities import Labels

FEWEST = 20
"""Battles in which a feature must differ: intervals mean nothing below."""

PRIOR_PRECISION = 1e-2
"""Of each coefficient: a standard deviation of 10 on the log-odds scale."""

DISTRIBUTION_BINS = 15

_EFFECTS = [
    f"{kind}{bound}" for kind in ("alone", "at_equal_length") for bound in ("", "_low", "_high")
]
_SCHEMA = {
    "feature": pl.String,
    "family": pl.String,
    "meaning": pl.String,
    "standard_deviation": pl.Float64,
    "battles": pl.Int64,
    **dict.fromkeys(_EFFECTS, pl.Float64),
}

_DISTRIBUTIONS = {
    **dict.fromkeys(("feature", "outcome"), pl.String),
    **dict.fromkeys(("from_value", "to_value"), pl.Float64),
    "battles": pl.Int64,
    "share": pl.Float64,
}


def feature_effects(text: pl.DataFrame, labels: Labels, groups: Groups) -> pl.DataFrame:
    """Return every feature's odds ratio of being preferred, alone and at equal length.

    The columns are ``feature, family, meaning, standard_deviation, battles,
    alone, alone_low, alone_high, at_equal_length, at_equal_length_low,
    at_equal_length_high``; the length itself has no effect at equal length.
    Features of `text` that differ in fewer than `FEWEST` battles are left out, and
    all of them where every decisive battle went the same way.
    """
    decisive = labels < 2
    won, group = (labels[decisive] == 0).astype(float), groups[decisive]
    if len(np.unique(won)) < 2:
        return pl.DataFrame(schema=_SCHEMA)
    rows = text.filter(pl.Series(decisive))
    features = {feature.name: feature for feature in FEATURES if _on_both_sides(feature, text)}

    def effect(*columns: Floats) -> tuple[float, float, float]:
        found = fit_logistic(np.column_stack([np.ones(len(won)), *columns]), won, group)[1]
        return np.exp(found.value), np.exp(found.low), np.exp(found.high)

    longer = _standardised(_difference(rows, features[LENGTH]))[0] if LENGTH in features else None
    records = []
    for name, feature in features.items():
        values, scale = _standardised(_difference(rows, feature))
        if np.count_nonzero(values) < FEWEST:
            continue
        adjusted: tuple[float | None, ...] = (None,) * 3
        if longer is not None and name != LENGTH:
            adjusted = effect(values, longer)
        about = (name, feature.family, feature.meaning, scale, len(won))
        records.append((*about, *effect(values), *adjusted))
    return pl.DataFrame(records, schema=_SCHEMA, orient="row")


def distributions(text: pl.DataFrame, labels: Labels, features: Iterable[str]) -> pl.DataFrame:
    """Return how each feature's difference, a less b, is spread within each outcome.

    The columns are ``feature, outcome, from_value, to_value, battles, share``, the
    share being that of the outcome's battles; the outermost bins hold what lies
    beyond, and the middle one holds 0. There are no rows without features.
    """
    tables = [pl.DataFrame(schema=_DISTRIBUTIONS)]
    for name in features:
        a, b = side_values(text, name)
        apart = np.nan_to_num(a - b)
        sizes = np.abs(apart[apart != 0])
        # A little wider, so that whole numbers never lie on an edge and both sides bin alike.
        reach = (1 + 1e-9) * (float(np.quantile(sizes, 0.9)) if len(sizes) else 1.0)
        edges = np.linspace(-reach, reach, DISTRIBUTION_BINS + 1)
        for label, outcome in enumerate(outcomes_in(labels)):
            own = np.clip(apart[labels == label], -reach, reach)
            bins = {"from_value": edges[:-1], "to_value": edges[1:]}
            counted = pl.DataFrame(bins | {"battles": np.histogram(own, edges)[0]})
            named = (pl.lit(name).alias("feature"), pl.lit(outcome).alias("outcome"))
            share = pl.col("battles") / max(len(own), 1)
            tables.append(counted.select(*named, pl.all(), share.alias("share")))
    return pl.concat(tables)


def _on_both_sides(feature: Feature, text: pl.DataFrame) -> bool:
    sides = {feature.column("response_a"), feature.column("response_b")}
    return bool(feature.pairings) and sides <= set(text.columns)


def _difference(text: pl.DataFrame, feature: Feature) -> Floats:
    """Side a less side b: of logarithms for counts, as they are for shares and flags."""
    a, b = side_values(text, feature.name)
    if feature.dtype == pl.UInt32:
        a, b = np.log1p(a), np.log1p(b)
    return np.nan_to_num(a - b)


def _standardised(values: Floats) -> tuple[Floats, float]:
    scale = float(values.std())
    return (values / scale if scale else values), scale


def fit_logistic(
    design: Floats, target: Floats, groups: Groups, precision: ArrayLike = PRIOR_PRECISION
) -> list[Interval]:
    """Return the log-odds of `target` for a unit of each column of `design`, of shape (n, k).

    Intervals are from the sandwich covariance over groups: Liang and Zeger,
    "Longitudinal data analysis using generalized linear models", Biometrika 73,
    1986. A column of ones is the intercept; the target is 0 or 1, the precision
    that of each coefficient's normal prior around 0.
    """
    scale = np.sqrt(np.broadcast_to(precision, design.shape[1]))
    regression = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-8)
    coefficients = regression.fit(design / scale, target).coef_[0] / scale
    stated = expit(design @ coefficients)
    residuals = target - stated
    information = (design * (stated * (1 - stated))[:, None]).T @ design + np.diag(scale**2)
    scores = design * residuals[:, None]
    _, group = np.unique(groups, return_inverse=True)
    summed = np.column_stack([np.bincount(group, weights=column) for column in scores.T])
    inverse = np.linalg.inv(information)
    covariance = inverse @ (summed.T @ summed) @ inverse
    margins = Z * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return [
        Interval(float(value), float(value - margin), float(value + margin))
        for value, margin in zip(coefficients, margins, strict=True)
    ]
