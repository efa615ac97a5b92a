"""Every feature's distribution by outcome, as small pictures that the page opens at a click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.analysis.effects import distributions
from pipelines.report.run_data import RunData
from pipelines.report.words import spaced

WIDTH, HEIGHT = 300, 90
"""Of a small picture, in its own units."""


@dataclass(frozen=True)
class Spread:
    """A feature: its effects in words, and a line for each outcome over its difference."""

    name: str
    meaning: str
    alone: str
    at_equal_length: str
    low: str
    high: str
    lines: Mapping[str, str]


def spreads(data: RunData) -> tuple[list[Spread], pl.DataFrame]:
    """Return every feature that differs in enough battles, the strongest effect first.

    The frame is `models.analysis.effects.distributions` of them all.
    """
    effects = data.effects.sort(pl.col("alone").log().abs(), descending=True)
    frame = distributions(data.text, data.labels, effects["feature"])
    tables = frame.partition_by("feature", as_dict=True)
    found = [_spread(row, tables[row["feature"],]) for row in effects.to_dicts()]
    return found, frame


def _spread(effect: Mapping[str, Any], table: pl.DataFrame) -> Spread:
    low, high, most = table["from_value"].min(), table["to_value"].max(), table["share"].max()
    lines = {}
    for (outcome,), part in table.group_by("outcome", maintain_order=True):
        step = WIDTH / len(part)
        heights = [HEIGHT * (1 - share / most) for share in part["share"]]
        lines[str(outcome)] = " ".join(
            f"{step * place:.0f},{height:.1f} {step * (place + 1):.0f},{height:.1f}"
            for place, height in enumerate(heights)
        )
    return Spread(
        spaced(effect["feature"]),
        effect["meaning"],
        _odds(effect, "alone"),
        _odds(effect, "at_equal_length"),
        f"{low:,.3g}",
        f"{high:+,.3g}",
        lines,
    )


def _odds(effect: Mapping[str, Any], of: str) -> str:
    """Return odds for one standard deviation more, with their interval."""
    if effect[of] is None:
        return "not asked"
    return f"×{effect[of]:.2f} ({effect[f'{of}_low']:.2f} to {effect[f'{of}_high']:.2f})"
