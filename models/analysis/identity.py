"""What the identity signal found: who is taken for whom, how much of the oracle it wins.

The oracle is told the true names of the battles to be predicted, which no
submission can be; its gain over the prior is what knowing who wrote the
responses is worth, and the signal's share of it says how well text gives the
writer away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from models.analysis.strengths import families_of
from models.evaluation.intervals import Floats, Groups, ratio
from models.evaluation.metrics import Interval, bootstrap_mean
from models.probabilities import Labels, Probabilities, row_log_loss

PRIOR, ORACLE = "prior", "oracle"

OTHERS = "others"
"""Where families of few texts are gathered."""

_MASS = "posterior of "


def taken_for(
    battles: pl.DataFrame, posterior: Callable[[pl.Series], pl.DataFrame]
) -> pl.DataFrame:
    """Return a row a text: who wrote it, who is likeliest, and the posterior of each family.

    `battles` has ``response_a, response_b`` (String), ``model_a, model_b, group``;
    `posterior` is called with texts and returns a column a model.
    """
    parts = []
    for side in "ab":
        stated = posterior(battles[f"response_{side}"])
        chances = stated.to_numpy().astype(np.float64)
        kinds = families_of(pl.Series(stated.columns)).to_numpy()
        names = np.unique(kinds)
        masses = np.stack([chances[:, kinds == name].sum(axis=1) for name in names], axis=1)
        own = families_of(battles[f"model_{side}"]).alias("family")
        guessed = pl.Series("guessed_family", names[masses.argmax(axis=1)])
        posteriors = pl.DataFrame(masses, [_MASS + name for name in names])
        parts.append(pl.DataFrame([own, guessed, battles["group"]]).hstack(posteriors))
    return pl.concat(parts)


def family_accuracy(texts: pl.DataFrame, seed: int) -> tuple[Interval, float]:
    """Return how often the likeliest family wrote the text, and how often the most frequent."""
    right = (texts["family"] == texts["guessed_family"]).cast(pl.Float64).to_numpy()
    most = int(texts["family"].value_counts(sort=True)["count"][0])
    return bootstrap_mean(right, texts["group"].to_numpy(), seed), most / len(texts)


def family_confusion(texts: pl.DataFrame, fewest: int = 50) -> pl.DataFrame:
    """Return how much of the posterior of a family's texts lies on each family.

    The columns are ``family, told, texts, share, guessed``, the last being how
    often a family is the likeliest. The most frequent families come first; those
    of fewer than `fewest` texts are gathered as `OTHERS`.
    """
    masses = [column for column in texts.columns if column.startswith(_MASS)]
    counts = dict(texts["family"].value_counts().iter_rows())
    names = {*(column.removeprefix(_MASS) for column in masses), *counts}
    gathered = {name: name if counts.get(name, 0) >= fewest else OTHERS for name in names}
    long = (
        texts.with_row_index("text")
        .unpivot(masses, index=["text", "family", "guessed_family"], variable_name="told",
                 value_name="share")
        .with_columns(
            pl.col("told").str.strip_prefix(_MASS).replace_strict(gathered),
            pl.col("family", "guessed_family").replace_strict(gathered),
            pl.col("share").fill_null(0.0),
        )
        .group_by("text", "family", "guessed_family", "told")
        .agg(pl.col("share").sum())
    )  # fmt: skip
    return (
        long.group_by("family", "told")
        .agg(
            texts=pl.len(),
            share=pl.col("share").mean(),
            guessed=(pl.col("guessed_family") == pl.col("told")).mean(),
        )
        .sort(["texts", "family", "told"], descending=[True, False, False])
    )


def recovered(
    predictions: Mapping[str, Probabilities], labels: Labels, groups: Groups, seed: int
) -> pl.DataFrame:
    """Return what each gains over the `PRIOR`, as a share of what the `ORACLE` gains.

    The columns are ``who, log_loss, low, high``, and for all but the prior
    ``gain, share, share_low, share_high``.
    """
    losses = {who: row_log_loss(stated, labels) for who, stated in predictions.items()}
    gain: dict[str, Floats] = {who: losses[PRIOR] - loss for who, loss in losses.items()}
    rows = []
    for who, loss in losses.items():
        found = bootstrap_mean(loss, groups, seed)
        stated: tuple[float | None, ...] = (None,) * 4
        if who != PRIOR:
            share = ratio(gain[who], gain[ORACLE], groups)
            stated = (float(gain[who].mean()), share.value, share.low, share.high)
        rows.append((who, found.value, found.low, found.high, *stated))
    names = ["log_loss", "low", "high", "gain", "share", "share_low", "share_high"]
    schema = {"who": pl.String, **dict.fromkeys(names, pl.Float64)}
    return pl.DataFrame(rows, schema, orient="row")


def strength_logits(expected: Probabilities) -> pl.DataFrame:
    """Return ``margin`` (odd) and ``tie`` (even): probabilities as logits for a regression."""
    a, b, tie = expected.T
    return pl.DataFrame({"margin": np.log(a / b), "tie": np.log(tie / (1.0 - tie))})
