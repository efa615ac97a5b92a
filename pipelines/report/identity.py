"""Figures of the identity signal: who is taken for whom, and what knowing the writer is worth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from numpy.typing import NDArray

from featlab.battles import joined_turns
from featlab.columns import Column
from featlab.parity import Parity
from models.analysis.identity import (
    ORACLE,
    PRIOR,
    family_accuracy,
    family_confusion,
    recovered,
    strength_logits,
    taken_for,
)
from models.analysis.strengths import expected_outcomes
from models.probabilities import out_of_fold_prior
from pipelines.report import charts
from pipelines.report.figure import NAMES, LeftOut, Need, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.words import percent, share_text, shortened, whole

SECTION = "Who wrote it"

MOST_FAMILIES = 16

MOST_BATTLES = 6000
"""Battles that are analysed, drawn by the run's seed where there are more."""

IDENTITY = "identity"
SIGNAL = Need(
    lambda data: IDENTITY in data.training.signals,
    "the run has no identity signal; add it with --signals",
)


@lru_cache(maxsize=1)
def _analysed(data: RunData) -> tuple[NDArray[np.int64], pl.DataFrame]:
    """Rows of battles that name their models, and those battles with their texts."""
    (rows,) = data.sample("analysed identities", MOST_BATTLES, np.flatnonzero(data.named))
    battles = data.texts_of(rows.tolist()).with_columns(
        *(joined_turns(f"response_{side}").alias(f"response_{side}") for side in "ab"),
        pl.Series("group", data.groups[rows]),
    )
    return rows, battles


@figure(SECTION, SIGNAL, NAMES)
def identity_share(data: RunData) -> Plot:
    """Show how much of what the writers' names are worth is recovered."""
    rows, battles = _analysed(data)
    columns = [Column("margin", Parity.ODD, ORACLE, ""), Column("tie", Parity.EVEN, ORACLE, "")]
    logits = strength_logits(expected_outcomes(battles, data.folds[rows]))
    signal, of_signal = data.signal_columns(IDENTITY)
    predictions = {
        PRIOR: out_of_fold_prior(data.labels[rows], data.folds[rows]),
        IDENTITY: data.kernel_predictions(signal[rows], of_signal, rows),
        ORACLE: data.kernel_predictions(logits, columns, rows),
    }
    frame = recovered(predictions, data.labels[rows], data.groups[rows], data.training.seed)
    frame = frame.with_columns(battles=len(rows))
    found = frame.row(by_predicate=pl.col("who") == IDENTITY, named=True)
    if not -1 <= found["share_low"] <= found["share_high"] <= 2:
        raise LeftOut(
            "the writers' true names win too little over the prior here to take a share of"
        )
    return Plot(
        frame,
        f"Writers told from text win {share_text(found, 'share')} of what their true names would",
        f"n = {whole(len(rows))} battles, out of fold. Oracle: a regression on the strengths of "
        "the models that truly wrote the responses, which no test file names. Bars: 95 % over "
        "resampled prompts.",
        lambda axes: charts.dots(axes, frame, "who", charts.LOSS, along="log loss (nats)"),
        charts.rows_height(len(frame)),
    )


@figure(SECTION, SIGNAL, NAMES)
def identity_confusion(data: RunData) -> Plot:
    """Show which families of models are taken for which."""
    rows, battles = _analysed(data)
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
