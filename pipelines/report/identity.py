"""Figures of the identity signal: who is taken for whom, and what knowing the writer is worth."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Canvas

from featlab.randomness import derive_seed
from featlab.signals.identity.signal import IdentitySignal
from models.analysis.identity_report import IdentityAnalysis, identity_analysis
from pipelines.learned_signals import load_fitted
from pipelines.report.charts import dots, rows_height
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.theme import shortened
from pipelines.report.words import percent, whole

SECTION = "Who wrote it"

MOST_BATTLES = 6000
"""Battles that are analysed, drawn by the run's seed where there are more."""

IDENTITY = "identity"


@lru_cache(maxsize=1)
def _analysis(data: RunData) -> tuple[IdentityAnalysis, int]:
    if IDENTITY not in data.bundle["signals"]:
        raise LeftOut("the run has no identity signal; add it with --signals")
    generator = np.random.default_rng(derive_seed(data.settings.seed, "analysed identities"))
    named = np.flatnonzero(data.named)
    count = min(MOST_BATTLES, len(named))
    rows = np.sort(generator.choice(named, count, replace=False))
    analysis = identity_analysis(
        data.texts_of(rows.tolist()),
        data.folds[rows],
        pl.read_parquet(data.run.signal(IDENTITY))[rows],
        cast(list[IdentitySignal], load_fitted(IDENTITY, data.run)),
        data.groups[rows],
        resamples=2,
        seed=data.settings.seed,
    )
    return analysis, count


def _recovered(data: RunData) -> pl.DataFrame:
    analysis, count = _analysis(data)
    return analysis.recovered.with_columns(pl.lit(count).alias("battles"))


def _recovered_title(frame: pl.DataFrame) -> str:
    row = frame.filter(pl.col("who") == IDENTITY).row(0, named=True)
    return (
        f"Writers told from text win {percent(row['share'], 0)} "
        f"({percent(row['share_low'], 0)} to {percent(row['share_high'], 0)}) of what their true "
        "names would"
    )


def _draw_recovered(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    dots(axes, frame, "who", ("log_loss", "low", "high"))
    axes.set_xlabel("log loss (nats)")


def _confusion(data: RunData) -> pl.DataFrame:
    analysis, _ = _analysis(data)
    family = analysis.accuracy.filter(pl.col("level") == "family").row(0, named=True)
    return analysis.confusion.with_columns(
        *(pl.lit(family[name]).alias(f"accuracy_{name}") for name in ("low", "high")),
        pl.lit(family["accuracy"]).alias("accuracy"),
        pl.lit(family["most_frequent"]).alias("most_frequent"),
    )


def _confusion_title(frame: pl.DataFrame) -> str:
    row = frame.row(0, named=True)
    return (
        f"The likeliest family is the true one for {percent(row['accuracy'], 0)} "
        f"({percent(row['accuracy_low'], 0)} to {percent(row['accuracy_high'], 0)}) of texts; "
        f"always naming the most frequent would be right for {percent(row['most_frequent'], 0)}"
    )


def _confusion_note(frame: pl.DataFrame) -> str:
    texts = frame.select("family", "texts").unique()["texts"].sum()
    return (
        f"Rows: who wrote it; columns: mean posterior share in per cent, n = {whole(texts)} texts, "
        "out of fold. The interval of the accuracy is 95 % over prompts."
    )


def _draw_confusion(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    names = frame["family"].unique(maintain_order=True).to_list()
    place = {name: index for index, name in enumerate(names)}
    shares = np.zeros((len(names), len(names)))
    for row in frame.filter(pl.col("told").is_in(names)).to_dicts():
        shares[place[row["family"]], place[row["told"]]] = row["share"]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(0.6, float(shares.max())), aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.05:
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if share > 0.4 else "#111111",
            )
    labels = [shortened(str(name), 16) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=60, ha="right", fontsize=6.5)
    axes.set_yticks(range(len(names)), labels, fontsize=6.5)
    axes.set_xlabel("told from the text")
    axes.set_ylabel("wrote it")
    axes.grid(visible=False)


FIGURES = (
    Figure(
        "identity_share",
        SECTION,
        _recovered,
        _recovered_title,
        lambda frame: (
            f"n = {whole(frame['battles'][0])} battles, out of fold. Oracle: a regression on the "
            "strengths of the models that truly wrote the responses, which no test file names. "
            "Bars: 95 % over resampled prompts."
        ),
        _draw_recovered,
        lambda frame: rows_height(len(frame), 0.26, 1.5),
    ),
    Figure(
        "identity_confusion",
        SECTION,
        _confusion,
        _confusion_title,
        _confusion_note,
        _draw_confusion,
        lambda frame: 1.9 + 0.17 * frame["family"].n_unique(),
    ),
)
"""In the order of the page."""
