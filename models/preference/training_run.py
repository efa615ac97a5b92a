"""The network that is to be fine-tuned, made ready: device, number format, encoder and head."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch

from featlab.encoder import EncoderSpec
from featlab.encoder.attention import PADDED
from featlab.encoder.backbone import load_backbone
from featlab.encoder.device import inference_dtype, pick_device
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.lora import add_adapters
from models.preference.preference_head import PreferenceHead
from models.preference.preference_network import PreferenceNetwork, set_dropout


@dataclass(frozen=True)
class Arithmetic:
    """What is computed on, and in which number format.

    Parameters
    ----------
    device : torch.device
        This process's own card, or the CPU.
    dtype : torch.dtype
        Format of the arithmetic; weights stay in float32.
    """

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, settings: FineTuneSettings, device: str) -> Arithmetic:
        """Pick the device and the format.

        Raises
        ------
        ConfigError
            When the device cannot train in the format that the settings ask for.
        """
        picked = pick_device(device)
        if str(picked) == "cuda":
            picked = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        dtype = inference_dtype(settings.precision, picked)
        if dtype == torch.float16 and picked.type != "cuda":
            raise ConfigError(
                "fine-tuning: precision 'float16' needs a CUDA card; use auto, bfloat16 or float32"
            )
        return cls(picked, dtype)

    def autocast(self) -> torch.autocast:
        """Return what makes a block of code compute in the format."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def load_network(
    spec: EncoderSpec, settings: FineTuneSettings, arithmetic: Arithmetic, models: int
) -> tuple[PreferenceNetwork, Tokenizer]:
    """Load the encoder and put a new head on it.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder to start from.
    settings : FineTuneSettings
    arithmetic : Arithmetic
    models : int
        How many models wrote the responses, for the identity loss.

    Raises
    ------
    WeightsError
        When the encoder's weights are missing or damaged.
    ConfigError
        When the model or the device cannot do what spec and settings ask for.
    """
    device, dtype = arithmetic.device, arithmetic.dtype
    weights = find_weights(spec)
    tokenizer = Tokenizer(weights, spec)
    # No packed kernel has dropout; and on a CPU padded batches train faster.
    pads = settings.dropout > 0 or (device.type == "cpu" and spec.attention == "auto")
    reads = replace(spec, attention=PADDED) if pads else spec
    backbone = load_backbone(reads, weights, device, torch.float32, tokenizer.padding, dtype)
    set_dropout(backbone, settings.dropout)
    if settings.gradient_checkpointing:
        checkpoint_gradients(backbone.model)
    if settings.lora_rank > 0:
        add_adapters(backbone, settings)
    head = PreferenceHead(backbone.dimension)
    return PreferenceNetwork(backbone, head, settings, models).to(device), tokenizer


def checkpoint_gradients(model: Any) -> None:
    """Compute a model's activations twice instead of keeping them."""
    kwargs = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=kwargs)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)
