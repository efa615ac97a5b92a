"""What the identity signal found: strengths, who is taken for whom, how much of the oracle it wins.

The oracle is told the true names of the battles to be predicted, which no
submission can be; its gain over the prior is what knowing who wrote the
responses is worth, and the signal's share of it says how well text gives the
writer away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from featlab.battles import joined_turns
from featlab.columns import parities
from featlab.errors import ConfigError
from featlab.parity import Parity
from featlab.signals.identity.model_families import family
from featlab.signals.identity.signal import COLUMNS, IdentitySignal
from models.analysis.model_strengths import expected_outcomes, strength_table
from models.evaluation.ensemble import out_of_fold_prior
from models.evaluation.intervals import ratio
from models.evaluation.metrics import bootstrap_mean, row_log_loss
from models.stacking.kernel import fit_kernel_stacker
from models.stacking.table import StackingData

OTHERS = "others"
"""Where families of few texts are gathered."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class IdentityAnalysis:
    """Tables of the identity signal, all out of fold but the strengths.

    Parameters
    ----------
    strengths : DataFrame
        One row a model, strongest first: see `strength_table`.
    accuracy : DataFrame
        ``level`` (model, family), ``accuracy, low, high``, and ``most_frequent``,
        the accuracy of always naming the most frequent one.
    confusion : DataFrame
        ``family, told, texts, share, guessed``: of a family's texts, how much of
        the posterior lies on each family, and how often it is the likeliest.
    recovered : DataFrame
        ``who`` (prior, identity, oracle), ``log_loss, low, high``, and for the
        latter two ``gain`` over the prior and ``share, share_low, share_high``
        of the oracle's gain.
    """

    strengths: pl.DataFrame
    accuracy: pl.DataFrame
    confusion: pl.DataFrame
    recovered: pl.DataFrame


def identity_analysis(
    battles: pl.DataFrame,
    folds: NDArray[np.int64],
    columns: pl.DataFrame,
    signals: Sequence[IdentitySignal],
    groups: NDArray[Any],
    *,
    resamples: int = 200,
    fewest: int = 50,
    seed: int = 0,
) -> IdentityAnalysis:
    """Analyse the signal on the battles it was made out of fold for.

    Parameters
    ----------
    battles : DataFrame
        Canonical battles with ``label``, ``model_a`` and ``model_b``; those
        without two names are left out.
    folds : int array of shape (n,)
    columns : DataFrame
        The signal's columns, out of fold, in the order of the battles.
    signals : sequence of IdentitySignal
        The one fitted without each fold, in the order of the folds.
    groups : array of shape (n,)
        Equal for battles of one prompt.
    resamples : int
        Of the strengths' bootstrap.
    fewest : int
        Families of fewer texts are gathered as `OTHERS`.
    seed : int

    Raises
    ------
    ConfigError
        When there are not as many signals as folds.
    """
    if len(signals) != len(np.unique(folds)):
        raise ConfigError(
            f"identity analysis: {len(signals)} fitted signals for {len(np.unique(folds))} folds"
        )
    named = battles["model_a"].is_not_null() & battles["model_b"].is_not_null()
    rows = np.flatnonzero(named.to_numpy())
    battles, columns = battles[rows], columns[rows].select(column.name for column in COLUMNS)
    all_folds, folds, groups = np.unique(folds), folds[rows], groups[rows]
    told = [
        _told(battles.filter(pl.Series(folds == fold)), signal, groups[folds == fold])
        for fold, signal in zip(all_folds, signals, strict=True)
    ]
    texts = pl.concat([part for part, _ in told], how="diagonal")
    return IdentityAnalysis(
        strength_table(battles, groups, resamples, seed),
        _accuracy(texts.select("model", "family", "guess", "guessed_family", "group"), seed),
        _confusion(texts, sorted({name for _, names in told for name in names}), fewest),
        _recovered(battles, folds, columns, groups, seed),
    )


def _told(
    battles: pl.DataFrame, signal: IdentitySignal, groups: NDArray[Any]
) -> tuple[pl.DataFrame, list[str]]:
    """One row a text: who wrote it, who was guessed, and the posterior of each family."""
    parts = []
    for side in "ab":
        posterior = signal.posterior(battles.select(joined_turns(f"response_{side}")).to_series())
        chances = posterior.to_numpy().astype(np.float64)
        kinds = np.array([family(model) for model in posterior.columns])
        names = np.unique(kinds)
        by_family = np.stack([chances[:, kinds == name].sum(axis=1) for name in names], axis=1)
        models = battles[f"model_{side}"].alias("model")
        kin = {model: family(model) for model in models.unique()}
        parts.append(
            pl.DataFrame(
                [
                    models,
                    models.replace_strict(kin, return_dtype=pl.String).alias("family"),
                    pl.Series("guess", np.array(posterior.columns)[chances.argmax(axis=1)]),
                    pl.Series("guessed_family", names[by_family.argmax(axis=1)]),
                    pl.Series("group", groups),
                ]
            ).hstack(pl.DataFrame(by_family, schema=[_MASS + name for name in names]))
        )
    return pl.concat(parts), names.tolist()


_MASS = "posterior of "


def _accuracy(texts: pl.DataFrame, seed: int) -> pl.DataFrame:
    rows = []
    for level, guess in (("model", "guess"), ("family", "guessed_family")):
        right = (texts[level] == texts[guess]).cast(pl.Float64).to_numpy()
        found = bootstrap_mean(right, texts["group"].to_numpy(), seed)
        most = texts[level].value_counts()["count"].max()
        rows.append(
            (level, found.value, found.low, found.high, float(str(most)) / max(len(texts), 1))
        )
    names = ["level", "accuracy", "low", "high", "most_frequent"]
    return pl.DataFrame(rows, names, orient="row")


def _confusion(texts: pl.DataFrame, names: list[str], fewest: int) -> pl.DataFrame:
    counts = dict(texts["family"].value_counts().iter_rows())
    kept = {name for name, count in counts.items() if count >= fewest}
    gathered = {name: name if name in kept else OTHERS for name in {*names, *counts}}
    long = (
        texts.with_row_index("text")
        .unpivot(
            [_MASS + name for name in names],
            index=["text", "family", "guessed_family"],
            variable_name="told",
            value_name="share",
        )
        .with_columns(
            pl.col("told").str.strip_prefix(_MASS).replace_strict(gathered),
            pl.col("family", "guessed_family").replace_strict(gathered),
            pl.col("share").fill_null(0.0),
        )
        .group_by("text", "family", "guessed_family", "told")
        .agg(pl.col("share").sum())
    )
    return (
        long.group_by("family", "told")
        .agg(
            texts=pl.len(),
            share=pl.col("share").mean(),
            guessed=(pl.col("guessed_family") == pl.col("told")).mean(),
        )
        .sort(["texts", "family", "told"], descending=[True, False, False])
    )


def _recovered(
    battles: pl.DataFrame,
    folds: NDArray[np.int64],
    columns: pl.DataFrame,
    groups: NDArray[Any],
    seed: int,
) -> pl.DataFrame:
    labels = battles["label"].to_numpy().astype(np.int64)
    expected = expected_outcomes(battles, folds)
    logits = pl.DataFrame(
        {
            "margin": np.log(expected[:, 0] / expected[:, 1]),
            "tie": np.log(expected[:, 2] / (1.0 - expected[:, 2])),
        }
    )
    oracle = StackingData(logits, {"margin": Parity.ODD, "tie": Parity.EVEN}, labels, folds)
    signal = StackingData(columns, parities(COLUMNS), labels, folds)
    losses = {
        "prior": row_log_loss(out_of_fold_prior(labels, folds), labels),
        "identity": row_log_loss(fit_kernel_stacker(signal, seed)[1].probabilities, labels),
        "oracle": row_log_loss(fit_kernel_stacker(oracle, seed)[1].probabilities, labels),
    }
    gain: dict[str, Floats] = {who: losses["prior"] - loss for who, loss in losses.items()}
    rows: list[tuple[str | float | None, ...]] = []
    for who, loss in losses.items():
        found = bootstrap_mean(loss, groups, seed)
        stated: tuple[float | None, ...] = (None,) * 4
        if who != "prior":
            share = ratio(gain[who], gain["oracle"], groups)
            stated = (float(gain[who].mean()), share.value, share.low, share.high)
        rows.append((who, found.value, found.low, found.high, *stated))
    numbers = ["log_loss", "low", "high", "gain", "share", "share_low", "share_high"]
    schema = {"who": pl.String, **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema, orient="row")
