"""Figures of what the model looks at: importance by family and feature, partial dependence."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, PercentFormatter

from featlab.battles import OUTCOMES
from models.analysis.importance import grouped_importance
from models.analysis.partial_dependence import partial_dependence
from pipelines.report.charts import dots, legend_above, rows_height
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, OUTCOME_COLOURS, VERMILLION, shortened
from pipelines.report.words import percent, whole

SECTION = "What the model looks at"

MOST_FEATURES = 25
MOST_CURVES = 10
MOVED_ROWS = 200
"""Battles on which a column is moved, the same for every model."""

STYLES = {"contribution": (BLUE, "o"), "gain": (VERMILLION, "s")}


def _families(data: RunData) -> pl.DataFrame:
    families = {column: family for column, (_, family) in data.meaning.items()}
    return _counted(data, grouped_importance(data.importance, families))


def _features(data: RunData) -> pl.DataFrame:
    features = {column: feature for column, (feature, _) in data.meaning.items()}
    return _counted(data, grouped_importance(data.importance, features))


def _counted(data: RunData, frame: pl.DataFrame) -> pl.DataFrame:
    explained = sum(len(rows) for rows in data.explained_rows.values())
    return frame.with_columns(
        pl.lit(explained).alias("battles"), pl.lit(len(data.models)).alias("models")
    )


def _families_title(frame: pl.DataFrame) -> str:
    first, second = frame.row(0, named=True), frame.row(min(1, len(frame) - 1), named=True)
    return (
        f"{first['group']} moves predictions most, {_share(first)} of all contributions, then "
        f"{second['group']}, {_share(second)}"
    )


def _features_title(frame: pl.DataFrame) -> str:
    names = [str(name).replace("_", " ") for name in frame["group"].head(3)]
    return (
        f"Of {len(frame)} features, {', '.join(names)} move predictions most; {names[0]}: "
        f"{_share(frame.row(0, named=True))} of all contributions"
    )


def _share(row: dict[str, float]) -> str:
    return (
        f"{percent(row['contribution'], 0)} ({percent(row['contribution_low'], 0)} to "
        f"{percent(row['contribution_high'], 0)})"
    )


def _note(frame: pl.DataFrame) -> str:
    row = frame.row(0, named=True)
    return (
        "The trees, half of the ensemble: shares of all gain in training, and of the mean "
        "absolute TreeSHAP contribution to "
        f"predictions of n = {whole(row['battles'])} held-out battles. Bars: least to greatest of "
        f"{row['models']} fold models."
    )


def _draw(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    top = frame.head(MOST_FEATURES)
    long = pl.concat(
        top.select(
            pl.col("group").str.replace_all("_", " "),
            pl.lit(kind).alias("kind"),
            pl.col(kind).alias("share"),
            pl.col(f"{kind}_low").alias("low"),
            pl.col(f"{kind}_high").alias("high"),
        )
        for kind in STYLES
    )
    dots(axes, long, "group", series="kind", percent=True, styles=STYLES)
    axes.set_xlabel("share of all")
    axes.set_xlim(left=0)


def _curves(data: RunData) -> pl.DataFrame:
    strongest = grouped_importance(data.importance).filter(pl.col("contribution") > 0)
    chosen = strongest["group"].head(MOST_CURVES).to_list()
    if not chosen:
        raise LeftOut("the trees split on no column")
    each = max(1, MOVED_ROWS // len(data.models))
    rows = np.concatenate([rows[:each] for rows in data.explained_rows.values()])
    given, swapped = data.stacking.both_orders
    return partial_dependence(
        list(data.first_models.values()),
        (given[rows], swapped[rows]),
        data.stacking.columns,
        data.stacking.parity,
        chosen,
    )


def _curves_title(frame: pl.DataFrame) -> str:
    reach = (
        frame.filter(pl.col("outcome") == "a")
        .group_by("column", maintain_order=True)
        .agg(pl.col("probability").min().alias("low"), pl.col("probability").max().alias("high"))
        .sort(pl.col("high") - pl.col("low"), descending=True)
        .row(0, named=True)
    )
    return (
        f"Moving {_words(reach['column'])} alone takes P(A) from {percent(reach['low'], 0)} to "
        f"{percent(reach['high'], 0)}, more than any other of the ten strongest columns"
    )


def _words(column: str) -> str:
    return column.replace("__", ": ").replace("_", " ")


def _draw_curves(canvas: Canvas, frame: pl.DataFrame) -> None:
    names = frame["column"].unique(maintain_order=True).to_list()
    rows = (len(names) + 1) // 2
    panels = canvas.subplots(rows, 2, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        for outcome in OUTCOMES:
            part = frame.filter(pl.col("column") == name, pl.col("outcome") == outcome)
            colour = OUTCOME_COLOURS[outcome]
            label = "tie" if outcome == "tie" else f"{outcome.upper()} wins"
            style = {"a": "-", "b": "--", "tie": ":"}[outcome]
            axes.plot(
                part["value"], part["probability"], color=colour, linestyle=style, label=label
            )
            axes.fill_between(part["value"], part["low"], part["high"], color=colour, alpha=0.18)
        axes.set_xlabel(shortened(_words(name), 42), fontsize=7)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(labelsize=6.5)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    legend_above(panels[0])


FIGURES = (
    Figure(
        "importance_of_families",
        SECTION,
        _families,
        _families_title,
        _note,
        _draw,
        lambda frame: rows_height(len(frame), 0.24, 1.8),
    ),
    Figure(
        "importance_of_features",
        SECTION,
        _features,
        _features_title,
        _note,
        _draw,
        lambda frame: rows_height(min(len(frame), MOST_FEATURES), 0.19, 1.9),
    ),
    Figure(
        "partial_dependence",
        SECTION,
        _curves,
        _curves_title,
        lambda frame: (
            "The trees, half of the ensemble: mean probability when one column is set to each "
            "value and everything else "
            f"stays, n = {whole(frame['battles'][0])} battles, both orders. Bands: least "
            "to greatest of the fold models. Columns that move together are moved one at a time."
        ),
        _draw_curves,
        lambda frame: 1.3 + 1.35 * ((frame["column"].n_unique() + 1) // 2),
    ),
)
"""In the order of the page."""
