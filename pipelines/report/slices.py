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

PRIOR = "prior"

KINDS = {
    "concerns_code": "prompts about code",
    "concerns_mathematics": "prompts about mathematics",
    "asks_for_creativity": "creative writing",
    "asks_for_list": "prompts for a list",
    "asks_to_explain": "prompts for an explanation",
    "asks_for_opinion": "prompts for an opinion",
    "asks_to_transform": "prompts with a text to change",
    "sets_a_role": "prompts that set a role",
    "is_sensitive": "sensitive matters",
    "concerns_the_model": "prompts about the model itself",
}
"""Feature of the prompt -> what such prompts are, in words."""

OTHER_KINDS = "other prompts"

MOST_FAMILIES = 12
MOST_LANGUAGES = 8


def slices_of(data: RunData) -> dict[str, pl.Series]:
    """Return all that a battle is sliced by, as `models.analysis.predictions` takes it.

    Nothing here depends on the predictions: slices by the model's own confidence
    would say how confident it is, not where it is good.
    """
    a, b = side_values(data.text, LENGTH)
    unlike = np.abs(np.log(np.maximum(a, 1)) - np.log(np.maximum(b, 1))) > np.log(1.5)
    turns = np.minimum(data.battles["turns"], 2) - 1
    slices = {
        "outcome": _chosen(["votes for A", "votes for B", "ties"], data.labels),
        "turns": _chosen(["one turn", "two turns or more"], turns),
        "length": quantile_slices(a + b, 4, "characters"),
        "lengths": _chosen(["responses of like length", "responses of unlike length"], unlike),
        "language": _languages(data),
        "prompt": _kinds(data.text),
    }
    return slices | ({"family": _families(data)} if data.named.any() else {})


def loss_slices(data: RunData) -> pl.DataFrame:
    """Return `models.analysis.predictions.loss_by_slice` of `slices_of` against the prior."""
    prior = out_of_fold_prior(data.labels, data.folds)
    losses, of_prior = (row_log_loss(each, data.labels) for each in (data.calibrated, prior))
    return loss_by_slice(slices_of(data), losses, of_prior, data.groups)


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
    """For each prompt the kinds it is of, `OTHER_KINDS` where it is of none: List(String)."""
    held = [
        pl.when(pl.col(f"prompt__{feature}") > 0).then(pl.lit(name))
        for feature, name in KINDS.items()
    ]
    kinds = pl.concat_list(held).list.drop_nulls()
    nothing = pl.lit([OTHER_KINDS])
    return text.select(pl.when(kinds.list.len() > 0).then(kinds).otherwise(nothing)).to_series()


def _families(data: RunData) -> pl.Series:
    """Return the families of the two models, the commonest ones: List(String)."""
    pair = [families_of(data.battles[f"model_{side}"]).alias(side) for side in "ab"]
    found = pl.DataFrame(pair).select(pl.concat_list("a", "b").list.drop_nulls().list.unique())
    kept = _commonest(found.to_series().explode(), MOST_FAMILIES)
    return found.select(
        pl.first().list.filter(pl.element().is_in(kept)).list.sort()
        .list.eval(pl.format("battles of {}", pl.element()))
    ).to_series()  # fmt: skip
