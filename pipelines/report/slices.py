"""Which slices of battles the model's loss is shown for."""

from __future__ import annotations

import numpy as np
import polars as pl

from featlab.signals.identity.model_families import family
from models.analysis.data_quality import prompt_language
from models.analysis.effects import LENGTH, side_values
from models.analysis.slices import loss_by_slice, quantile_slices
from models.evaluation.ensemble import out_of_fold_prior
from models.evaluation.metrics import row_log_loss
from pipelines.report.run_data import RunData

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
    """`models.analysis.slices.loss_by_slice` of everything a battle can be sliced by."""
    losses = row_log_loss(data.calibrated, data.labels)
    prior = row_log_loss(out_of_fold_prior(data.labels, data.folds), data.labels)
    return loss_by_slice(_slices(data), losses, prior, data.groups)


def _slices(data: RunData) -> dict[str, pl.Series]:
    a, b = side_values(data.text, LENGTH)
    apart = abs(data.calibrated[:, 0] - data.calibrated[:, 1])
    slices = {
        "outcome": _chosen(["voted A", "voted B", "voted a tie"], data.labels),
        "turns": _chosen(
            ["one turn", "two turns or more"], np.minimum(data.battles["turns"], 2) - 1
        ),
        "length": quantile_slices(a + b, 4, "characters:"),
        "lengths": _chosen(
            ["like lengths", "unlike lengths"], np.abs(np.log1p(a) - np.log1p(b)) > 0.3
        ),
        "closeness": quantile_slices(apart.round(3), 4, "|P(A) − P(B)|:"),
        "tie": quantile_slices(data.calibrated[:, 2].round(3), 3, "P(tie):"),
        "language": _languages(data),
        "prompt": _kinds(data.text),
    }
    if data.named.any():
        slices["family"] = _families(data)
    return slices


def _chosen(names: list[str], numbers: object) -> pl.Series:
    chosen = np.array(names, dtype=object)[np.asarray(numbers).astype(int)]
    return pl.Series(chosen.tolist(), dtype=pl.Enum(names))


def _languages(data: RunData) -> pl.Series:
    stated = data.battles["language"]
    if stated.null_count() == len(stated):
        return prompt_language(data.text)
    common = stated.drop_nulls().value_counts(sort=True)["language"].head(MOST_LANGUAGES)
    return pl.select(pl.when(stated.is_in(common.to_list())).then(stated)).to_series()


def _kinds(text: pl.DataFrame) -> pl.Series:
    """For each prompt the kinds it is of, "anything else" where it is of none: List(String)."""
    held = [
        pl.when(pl.col(f"prompt__{feature}") > 0).then(pl.lit(f"prompt: {name}"))
        for feature, name in KINDS.items()
    ]
    kinds = pl.concat_list(held).list.drop_nulls()
    nothing = pl.lit(["prompt: anything else"])
    return text.select(pl.when(kinds.list.len() > 0).then(kinds).otherwise(nothing).alias("kinds"))[
        "kinds"
    ]


def _families(data: RunData) -> pl.Series:
    """The families of the two models, the commonest ones: List(String)."""
    names = {name for side in "ab" for name in data.battles[f"model_{side}"] if name is not None}
    known = {name: family(name) for name in names}
    pair = [
        pl.col(f"model_{side}").replace_strict(known, default=None, return_dtype=pl.String)
        for side in "ab"
    ]
    found = data.battles.select(pl.concat_list(pair).list.drop_nulls().list.unique().alias("names"))
    common = found["names"].explode().drop_nulls().value_counts(sort=True)["names"]
    kept = common.head(MOST_FAMILIES).to_list()
    return found.select(pl.col("names").list.filter(pl.element().is_in(kept)).list.sort())["names"]
