"""The model card of a bundle, in the format of the Hugging Face hub.

Front matter that the hub reads, then what a reader asks first: what it
predicts, from which data, how well, where it fails, how to load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME = "README.md"


@dataclass(frozen=True)
class TrainingSummary:
    """What the manifest of a bundle does not say of its training.

    Parameters
    ----------
    source : str
        Name of the training file.
    fingerprint : str
        Its sha256.
    battles, folds, seed : int
    """

    source: str
    fingerprint: str
    battles: int
    folds: int
    seed: int


def model_card(
    manifest: Mapping[str, Any], metrics: Mapping[str, Any], training: TrainingSummary
) -> str:
    """The card as Markdown with YAML front matter.

    Parameters
    ----------
    manifest : mapping
        The bundle's ``manifest.json``.
    metrics : mapping
        The run's ``metrics.json``.
    training : TrainingSummary
    """
    return f"{_front_matter(metrics, training)}\n{_body(manifest, metrics, training)}"


def _front_matter(metrics: Mapping[str, Any], training: TrainingSummary) -> str:
    figures = metrics["ensemble"]["after_calibration"]
    values = {
        "log_loss": figures["log_loss"]["value"],
        "accuracy": figures["accuracy"]["value"],
        "expected_calibration_error": figures["expected_calibration_error"],
    }
    lines = ["---", "license: other", "license_name: that-of-the-training-data"]
    lines += ["library_name: featlab", "pipeline_tag: text-classification", "tags:"]
    lines += [f"- {tag}" for tag in ("preference", "chatbot-arena", "lightgbm", "featlab")]
    lines += ["model-index:", "- name: featlab", "  results:", "  - task:"]
    lines += ["      type: text-classification", "      name: human preference of two answers"]
    lines += ["    dataset:", f"      name: {json.dumps(training.source)}", "      type: battles"]
    lines += ["    metrics:"]
    for name, value in values.items():
        lines += [f"    - type: {name}", f"      value: {value:.6f}"]
        lines += ["      name: out of fold, calibrated"]
    return "\n".join([*lines, "---", ""])


def _body(
    manifest: Mapping[str, Any], metrics: Mapping[str, Any], training: TrainingSummary
) -> str:
    ensemble = metrics["ensemble"]["after_calibration"]
    signals = ", ".join(("text", *manifest["signals"]))
    rows = [
        ("prior of the other folds", metrics["prior"]),
        *(
            (f"{name} signal alone, untuned", values["after_calibration"])
            for name, values in metrics["signals"].items()
        ),
        ("this ensemble", ensemble),
    ]
    table = "\n".join(
        f"| {name} | {_estimate(values['log_loss'], 4)} | {_estimate(values['accuracy'], 3)} |"
        for name, values in rows
    )
    classes = ", ".join(
        f"{name} {loss:.3f}"
        for name, loss in ensemble["per_class_log_loss"].items()
        if loss is not None
    )
    search = metrics["search"]
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    return f"""# Which of two answers a person prefers

Given a prompt and two responses, states the probabilities that a person prefers response A,
prefers response B, or calls it a tie. Exchanging the responses exchanges the first two
probabilities exactly. No model names are read.

## Data and folds

{training.battles:,} battles of `{_code(training.source)}` (sha256 `{training.fingerprint}`), in
{training.folds} folds grouped by prompt, seed {training.seed}. {_missing(manifest)}

## How good it is

Out of fold, calibrated by a cross-fitted temperature, with 95 % intervals over resampled prompts:

| predictor | log loss | accuracy |
|---|---|---|
{table}

By outcome the log loss is {classes}; the expected calibration error is
{ensemble["expected_calibration_error"]:.3f}. The best of {search["trials"]} trials was chosen on
these folds: by the trial that the other folds would have chosen, the uncalibrated loss is
{search["selection_optimism"]:+.4f} higher.

## What it is

Signals: {signals}; {len(manifest["columns"])} columns. The mean of {manifest["boosters"]} LightGBM
models and of a symmetric kernel regression a fold, at temperature {manifest["temperature"]:.3f}.

## Limits

- It predicts votes of the people and times of its training data, not quality. Voters favour longer
  and more formatted answers, and so does it; the report's bias audit says by how much.
- It states chances that are often close to one third each: single battles stay uncertain.
- Most training prompts are English. Loss by language, kind of prompt and family of models stands
  in the report.
- It is not meant to rank people, nor as the only judge of a language model.

## Licence of the training data

The weights come from battles that keep their own licence. For Chatbot Arena's 55,000 battles the
competition's page says CC BY-NC 4.0 and the owner's own release Apache-2.0; for other data see
where they come from. The code of featlab is Apache-2.0.

## How to load it

```python
from pathlib import Path

from featlab.battles import read_battles
from models.stacking.bundle import load_bundle

ensemble, schema = load_bundle(Path("bundle"))
ids, probabilities = ensemble.predict(read_battles("test.csv", schema))
```

Every file is checked against its sha256 and the bundle against its own probe as it is loaded;
nothing is pickled. Written with {versions}.
"""


def _estimate(values: Mapping[str, float], digits: int) -> str:
    value, low, high = (f"{values[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _code(text: str) -> str:
    """A name that cannot end the code span it stands in."""
    return text.replace("`", "'")


def _missing(manifest: Mapping[str, Any]) -> str:
    if "identity" in manifest["signals"]:
        return "Model names were read in training only, to learn who writes how."
    return "Model names were not read."
