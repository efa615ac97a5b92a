"""The settings of an encoder and of its fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from models.preference.fine_tune_settings import FineTuneSettings, Reading


class EncoderSettings(BaseModel):
    """Which encoder reads the battles, and how it is fine-tuned; the preset's where not said."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, description="encoder or decoder, by name or folder, in place of the preset's"
    )
    max_tokens: int | None = Field(None, description="tokens of prompt and response together")
    store: Path | None = Field(None, description="embedding store; a cache folder by default")
    warm_up_epochs: int | None = Field(
        None, description="passes over the battles' texts as a masked language model, before"
    )
    epochs: int | None = Field(None, description="passes over the battles")
    learning_rate: float | None = Field(None, description="of the last layer, or of adapters")
    label_smoothing: float | None = Field(None, description="share of a target spread evenly")
    identity_weight: float | None = Field(
        None, description="weight of the auxiliary loss on model names"
    )
    lora_rank: int | None = Field(
        None, description="train adapters of this rank; 0 trains the whole encoder"
    )
    four_bits: bool | None = Field(
        None, description="with adapters, hold the weights in 4 bits; CUDA and bitsandbytes"
    )
    recompute: bool | None = Field(
        None, description="a third more time of training for a fraction of its memory"
    )
    reading: Reading | None = Field(
        None, description="whether a sequence holds one response or both, in either order"
    )
    soft_labels: Path | None = Field(
        None, description="a teacher's probabilities to distil: id and the submission's columns"
    )

    def fine_tuning(self, preset: FineTuneSettings) -> FineTuneSettings:
        """Return a preset's fine-tuning with what these settings say in its place."""
        others = {"model", "max_tokens", "store", "soft_labels"}
        return replace(preset, **self.model_dump(exclude=others, exclude_none=True))
