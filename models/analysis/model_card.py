"""The model card of a bundle, in the format of the Hugging Face hub.

Front matter that the hub reads, then what a reader asks first: what it
predicts, from which data, how well, where it fails, how to load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    3: "Given a prompt and two responses, states the probabilities that a person prefers\n"
    "response A, prefers response B, or calls it a tie.",
    2: "Given a prompt and two responses, states the probabilities that a person prefers\n"
    "response A or response B.",
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
    return f"""---
license: other
license_name: that-of-the-training-data
library_name: featlab
pipeline_tag: text-classification
tags: [preference, chatbot-arena, lightgbm, featlab]
model-index:
- name: featlab
  results:
  - task:
      type: text-classification
      name: human preference of two answers
    dataset:
      name: {json.dumps(training.source)}
      type: battles
    metrics:
    - type: log_loss
      value: {ensemble["log_loss"]["value"]:.6f}
      name: out of fold, calibrated
    - type: accuracy
      value: {ensemble["accuracy"]["value"]:.6f}
      name: out of fold, calibrated
    - type: expected_calibration_error
      value: {ensemble["expected_calibration_error"]:.6f}
      name: out of fold, calibrated
---

# Which of two answers a person prefers

{_STATES[len(ensemble["per_class_log_loss"])]} \
Exchanging the responses exchanges the first two
probabilities exactly. No model names are read.

## Data and folds

{training.battles:,} battles of `{source}` (sha256 `{training.fingerprint}`), in
{training.folds} folds grouped by prompt, seed {training.seed}. {names}

## How good it is

Out of fold, calibrated by a cross-fitted temperature, with 95 % intervals over resampled prompts:

| predictor | log loss | accuracy |
|---|---|---|
{table}

By outcome the log loss is {classes}; the expected calibration error is
{ensemble["expected_calibration_error"]:.3f}. The best of {metrics["search"]["trials"]} trials was \
chosen on
these folds: by the trial that the other folds would have chosen, the uncalibrated loss is
{metrics["search"]["selection_optimism"]:+.4f} higher.

## What it is

Signals: {", ".join(training.signals)}; {training.columns} columns. The mean of \
{training.boosters} LightGBM
models and of a symmetric kernel regression a fold, at temperature {training.temperature:.3f}.

## Limits

- It predicts votes of the people and times of its training data, not quality. Voters favour longer
  and more formatted answers, and so does it; the report's bias audit says by how much.
- It states chances that are often close to each other: single battles stay uncertain.
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
