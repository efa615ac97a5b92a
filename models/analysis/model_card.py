"""The model card of a bundle, in the format of the Hugging Face hub.

Front matter that the hub reads, then what a reader asks first: what it
predicts, from which data, how well, where it fails, how to load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class TrainingSummary:
    """What a run trained, from a file of a name and a sha256."""

    source: str
    fingerprint: str
    battles: int
    folds: int
    seed: int
    signals: tuple[str, ...]
    columns: int
    boosters: int
    temperature: float
    versions: Mapping[str, str]


_STATES = {
    3: "that a person prefers response A,\nprefers response B, or calls it a tie.",
    2: "that a person prefers response A\nor response B.",
}


def model_card(training: TrainingSummary, metrics: Mapping[str, Any]) -> str:
    """Return the card as Markdown with YAML front matter; `metrics` is the run's file."""
    ensemble = metrics["ensemble"]["after_calibration"]
    alone = {
        f"{name} signal alone, untuned": values["after_calibration"]
        for name, values in metrics["signals"].items()
    }
    rows = {"prior of the other folds": metrics["prior"], **alone, "this ensemble": ensemble}
    table = "\n".join(
        f"| {name} | {_estimate(values['log_loss'], 4)} | {_estimate(values['accuracy'], 3)} |"
        for name, values in rows.items()
    )
    losses = ensemble["per_class_log_loss"].items()
    classes = ", ".join(f"{name} {loss:.3f}" for name, loss in losses if loss is not None)
    versions = ", ".join(f"{name} {version}" for name, version in training.versions.items())
    names = "Model names were not read."
    if "identity" in training.signals:
        names = "Model names were read in training only, to learn who writes how."
    # A name in back quotes could end the code span it stands in.
    source = training.source.replace("`", "'")
    return TEMPLATE.read_text(encoding="utf-8").format(
        training=training,
        ensemble=ensemble,
        search=metrics["search"],
        name=json.dumps(training.source),
        signals=", ".join(training.signals),
        source=source,
        names=names,
        states=_STATES[len(ensemble["per_class_log_loss"])],
        table=table,
        classes=classes,
        versions=versions,
    )


def _estimate(values: Mapping[str, float], digits: int) -> str:
    value, low, high = (f"{values[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
