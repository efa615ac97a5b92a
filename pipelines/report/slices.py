"""Which slices of battles the model's loss is shown for."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.analysis.counts import prompt_language
from models.analysis.differences import LENGTH, side_values
from models.analysis.predictions import loss_by_slice, quantile_slices
from models.analysis.strengths import families_of
from models.probabilities import out_of_fold_prior, row_log_loss
from pipelines.report.run_data import RunData

PRIOR = "prior of the other folds"

KINDS = {
    "concerns_code": "code",
    "concerns_mathematics": "mathematics",
    "asks_for_creativity": "creative writing",
    "asks_for_list": "a list",
    "asks_to_explain": "an explanation",
    "asks_for_opinion": "an opinion",
    "asks_to_transform": "a text to change",
    "sets_a_role": "a role to play",
    "is_sensitive": "a sensitive matter",
    "concerns_the_model": "the model itself",
}
"""Feature of the prompt -> what the prompt is about, in words."""

MOST_FAMILIES = 12
MOST_LANGUAGES = 8


def loss_slices(data: RunData) -> pl.DataFrame:
    """Return `models.analysis.predictions.loss_by_slice` of all that a battle is sliced by."""
    a, b = side_values(data.text, LENGTH)
    apart = abs(data.calibrated[:, 0] - data.calibrated[:, 1])
    unlike = np.abs(np.log1p(a) - np.log1p(b)) > 0.3
    turns = np.minimum(data.battles["turns"], 2) - 1
    slices = {
        "outcome": _chosen(["voted A", "voted B", "voted a tie"], data.labels),
        "turns": _chosen(["one turn", "two turns or more"], turns),
        "length": quantile_slices(a + b, 4, "characters:"),
        "lengths": _chosen(["like lengths", "unlike lengths"], unlike),
        "closeness": quantile_slices(apart.round(3), 4, "|P(A) − P(B)|:"),
        "tie": quantile_slices(data.calibrated[:, 2].round(3), 3, "P(tie):"),
        "language": _languages(data),
        "prompt": _kinds(data.text),
    }
    if not data.table.ties:
        del slices["tie"]
    if data.named.any():
        slices["family"] = _families(data)
    prior = out_of_fold_prior(data.labels, data.folds)
    losses, losses_of_prior = (
        row_log_loss(stated, data.labels) for stated in (data.calibrated, prior)
    )
    return loss_by_slice(slices, losses, losses_of_prior, data.groups)


def _chosen(names: list[str], numbers: object) -> pl.Series:
    chosen = np.array(names, dtype=object)[np.asarray(numbers).astype(int)]
    return pl.Series(chosen.tolist(), dtype=pl.Enum(names))


def _commonest(values: pl.Series, most: int) -> list[str]:
    return values.drop_nulls().value_counts(sort=True).to_series().head(most).to_list()


def _languages(data: RunData) -> pl.Series:
    stated = data.battles["language"]
    if stated.null_count() == len(stated):
        return prompt_language(data.text)
    common = stated.is_in(_commonest(stated, MOST_LANGUAGES))
    return pl.select(pl.when(common).then(stated)).to_series()


def _kinds(text: pl.DataFrame) -> pl.Series:
    """For each prompt the kinds it is of, "anything else" where it is of none: List(String)."""
    held = [
        pl.when(pl.col(f"prompt__{feature}") > 0).then(pl.lit(f"prompt: {name}"))
        for feature, name in KINDS.items()
    ]
    kinds = pl.concat_list(held).list.drop_nulls()
    nothing = pl.lit(["prompt: anything else"])
    return text.select(pl.when(kinds.list.len() > 0).then(kinds).otherwise(nothing)).to_series()


def _families(data: RunData) -> pl.Series:
    """Return the families of the two models, the commonest ones: List(String)."""
    pair = [families_of(data.battles[f"model_{side}"]).alias(side) for side in "ab"]
    found = pl.DataFrame(pair).select(pl.concat_list("a", "b").list.drop_nulls().list.unique())
    kept = _commonest(found.to_series().explode(), MOST_FAMILIES)
    return found.select(pl.first().list.filter(pl.element().is_in(kept)).list.sort()).to_series()
