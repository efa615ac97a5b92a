"""What the fine-tuning tests share: a small encoder and battles that can be learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featlab.encoder import EncoderSpec
from models.preference.fine_tune_settings import FineTuneSettings
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
