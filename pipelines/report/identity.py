"""The figure of the identity signal: who is taken for whom."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from featlab.battles import joined_turns
from models.analysis.identity import family_accuracy, family_confusion, taken_for
from pipelines.report import charts
from pipelines.report.attribution import SECTION
from pipelines.report.figure import NAMES, Need, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.words import percent, share_text, shortened, whole

MOST_FAMILIES = 16

MOST_BATTLES = 6000
"""Battles that are analysed, drawn by the run's seed where there are more."""

IDENTITY = "identity"
SIGNAL = Need(
    lambda data: IDENTITY in data.training.signals,
    "the run has no identity signal; add it with --signals",
)


@figure(SECTION, SIGNAL, NAMES)
def identity_confusion(data: RunData) -> Plot:
    """Show which families of models are taken for which."""
    (rows,) = data.sample("analysed identities", MOST_BATTLES, np.flatnonzero(data.named))
    battles = data.texts_of(rows.tolist()).with_columns(
        *(joined_turns(f"response_{side}").alias(f"response_{side}") for side in "ab"),
        pl.Series("group", data.groups[rows]),
    )
    told = (
        taken_for(battles.filter(pl.Series(data.folds[rows] == fold)), signal.posterior)
        for fold, signal in data.fitted(IDENTITY).items()
    )
    texts = pl.concat(told, how="diagonal")
    accuracy, most_frequent = family_accuracy(texts, data.training.seed)
    frame = family_confusion(texts).with_columns(
        accuracy_low=accuracy.low,
        accuracy_high=accuracy.high,
        accuracy=accuracy.value,
        most_frequent=most_frequent,
    )
    found = frame.row(0, named=True)
    names = frame["family"].unique(maintain_order=True).head(MOST_FAMILIES).to_list()
    shares = np.zeros((len(names), len(names)))
    for row in frame.filter(pl.col("told").is_in(names), pl.col("family").is_in(names)).to_dicts():
        shares[names.index(row["family"]), names.index(row["told"])] = row["share"]
    cells = [f"{100 * share:.0f}" if share >= 0.05 else "" for share in shares.ravel()]

    def draw(axes: Axes) -> None:
        charts.shaded(axes, shares, [shortened(name, 16) for name in names], cells, 60)
        axes.set(xlabel="told from the text", ylabel="wrote it")

    return Plot(
        frame,
        f"The likeliest family is the true one for {share_text(found, 'accuracy')} of texts; "
        f"always naming the most frequent would be right for {percent(most_frequent)}",
        "Rows: who wrote it; columns: mean posterior share in per cent, n = "
        f"{whole(len(texts))} texts, out of fold. The interval of the accuracy is 95 % over "
        "prompts.",
        draw,
        1.6 + 0.22 * len(names),
    )
