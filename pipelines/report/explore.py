"""Every feature's distribution by outcome, which the page draws small and opens at a click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from models.analysis.differences import more_wins, side_values
from models.analysis.effects import distributions
from pipelines.report.run_data import RunData
from pipelines.report.words import share_text, spaced


def spreads(data: RunData) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Return every feature that differs in enough battles, the strongest effect first.

    The frame is `models.analysis.effects.distributions` of them all; each feature
    has its effects in words, the ends of its bins, and for each outcome the shares
    in them.
    """
    effects = data.effects.sort(pl.col("alone").log().abs(), descending=True)
    frame = distributions(data.text, data.labels, effects["feature"])
    tables = frame.partition_by("feature", as_dict=True)
    found = []
    for effect in effects.to_dicts():
        name, table = effect["feature"], tables[effect["feature"],]
        by_outcome = table.group_by("outcome", maintain_order=True).agg("share")
        found.append(
            {
                "name": spaced(name),
                "meaning": effect["meaning"],
                "wins": share_text(more_wins(*side_values(data.text, name), data.labels)),
                "alone": _odds(effect, "alone"),
                "equal": _odds(effect, "at_equal_length"),
                "reach": table["to_value"].max(),
                "most": table["share"].max(),
                "lines": dict(by_outcome.iter_rows()),
            }
        )
    return found, frame


def _odds(effect: Mapping[str, Any], of: str) -> str:
    """Return odds for one standard deviation more, with their interval."""
    if effect[of] is None:
        return "not asked"
    return f"×{effect[of]:.2f} ({effect[f'{of}_low']:.2f} to {effect[f'{of}_high']:.2f})"
