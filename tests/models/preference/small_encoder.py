"""What the fine-tuning tests share: a small encoder, battles that can be learned, a signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from featlab.encoder import EncoderSpec
from featlab.progress import Progress
from featlab.signals.outcomes import TRAINING_ONLY, Outcomes
from models.preference.encoder_signal import EncoderSignal
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_model import PreferenceModel
from models.preference.training_battles import BattleTokens
from tests.featlab.encoder.conftest import WORDS, write_modernbert


def small_spec(folder: Path, **fields: Any) -> EncoderSpec:
    """A random ModernBERT that is written once and computes in float32."""
    if not (folder / "config.json").is_file():
        write_modernbert(folder, initializer_range=0.1)
    return EncoderSpec(str(folder), **{"max_tokens": 48, "dtype": "float32", **fields})


def quick_settings(**fields: Any) -> FineTuneSettings:
    """Few tokens a step, float32, no checkpoint."""
    return FineTuneSettings(
        **{
            "tokens_per_step": 512,
            "tokens_per_batch": 256,
            "learning_rate": 1e-3,
            "head_learning_rate": 5e-3,
            "precision": "float32",
            "saved_dtype": "float32",
            "checkpoint_minutes": 0.0,
            **fields,
        }
    )


def telling_battles(count: int, seed: int = 0) -> pl.DataFrame:
    """Battles whose outcome stands in the text: "quick" wins over "lazy", alike is a tie."""
    draw = np.random.default_rng(seed)
    marks = draw.integers(0, 2, (count, 2))

    def response(mark: int) -> list[str]:
        words = draw.choice(WORDS[8:], draw.integers(1, 12)).tolist()
        words.insert(int(draw.integers(0, len(words))), "quick" if mark else "lazy")
        return [" ".join(words)]

    return pl.DataFrame(
        {
            "id": np.arange(count),
            "prompt": [[str(draw.choice(WORDS))] for _ in range(count)],
            "response_a": [response(a) for a, _ in marks],
            "response_b": [response(b) for _, b in marks],
            "label": np.where(marks[:, 0] == marks[:, 1], 2, np.where(marks[:, 0] == 1, 0, 1)),
            "model_a": np.where(marks[:, 0] == 1, "hare", "tortoise"),
            "model_b": np.where(marks[:, 1] == 1, "hare", "tortoise"),
        },
        schema_overrides={"label": pl.Int8},
    )


def silent(_: Progress) -> None:
    pass


def prepared(signal: EncoderSignal, battles: pl.DataFrame) -> BattleTokens:
    """The tokens of battles, made without a look at their outcomes."""
    return signal.prepare(battles.drop(TRAINING_ONLY, strict=False).lazy())


def tuned(
    encoder_folder: Path,
    folder: Path | None,
    battles: pl.DataFrame,
    spec: dict[str, Any] | None = None,
    seed: int = 0,
    soft_labels: Path | None = None,
    on_progress: Any = silent,
    **settings: Any,
) -> EncoderSignal:
    """A signal fitted on all these battles."""
    signal = EncoderSignal(
        small_spec(encoder_folder, **(spec or {})),
        quick_settings(**settings),
        seed,
        folder,
        soft_labels,
        "cpu",
        on_progress,
    )
    rows = np.arange(len(battles))
    return signal.fit(prepared(signal, battles), Outcomes.of(battles), rows)


def logits_of(signal: EncoderSignal, battles: pl.DataFrame) -> np.ndarray:
    return PreferenceModel(signal.state(), "cpu").logits(prepared(signal, battles))


def training_of(signal: EncoderSignal) -> dict[str, Any]:
    """How the training went."""
    return signal.state().values["training"]


def log_loss(signal: EncoderSignal, battles: pl.DataFrame) -> float:
    logits = torch.from_numpy(logits_of(signal, battles))
    labels = torch.from_numpy(battles["label"].cast(pl.Int64).to_numpy().copy())
    return float(torch.nn.functional.cross_entropy(logits, labels))
