"""The network that is to be fine-tuned, made ready: encoder, adapters, head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from featlab.encoder import EncoderSpec
from featlab.encoder.attention import PADDED
from featlab.encoder.backbone import Backbone, load_backbone
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.low_rank import add_adapters
from models.preference.preference_head import PreferenceHead
from models.preference.preference_network import PreferenceNetwork


def load_network(
    spec: EncoderSpec,
    settings: FineTuneSettings,
    device: torch.device,
    dtype: torch.dtype,
    models: int,
) -> tuple[PreferenceNetwork, Tokenizer]:
    """Load the encoder and put a new head on it.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder to start from.
    settings, device, dtype
        As in `models.preference.training_job.TrainingJob`.
    models : int
        How many models wrote the responses, for the identity loss.

    Raises
    ------
    WeightsError
        When the encoder's weights are missing or damaged.
    ConfigError
        When the model or the device cannot do what spec and settings ask for.
    """
    weights = find_weights(spec)
    tokenizer = Tokenizer(weights, spec)
    if device.type == "cpu" and spec.attention == "auto":
        # On a CPU padded batches train faster.
        spec = replace(spec, attention=PADDED)
    backbone = load_trainable(spec, settings, weights, device, dtype, tokenizer.padding)
    without_dropout(backbone)
    if settings.recompute:
        recompute_activations(backbone)
    head = PreferenceHead(backbone.dimension)
    return PreferenceNetwork(backbone, head, settings, models).to(device), tokenizer


def load_trainable(
    spec: EncoderSpec,
    settings: FineTuneSettings,
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    padding: int,
) -> Backbone:
    """Load the encoder with its weights in float32 or, with new adapters, frozen in `dtype`.

    See `load_network` for the parameters and what may go wrong; `folder` and
    `padding` are as for `featlab.encoder.backbone.load_backbone`.
    """
    adapted = settings.lora_rank > 0
    backbone = load_backbone(
        spec,
        folder,
        device,
        torch.float32,
        padding,
        dtype,
        frozen=adapted,
        four_bits=settings.four_bits,
    )
    if adapted:
        add_adapters(backbone, settings.lora_rank)
    return backbone


def recompute_activations(backbone: Backbone) -> None:
    """Keep no activations inside the layers for the backward pass.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    Raises
    ------
    ConfigError
        When the model cannot.
    """
    model: Any = backbone.model
    # Older releases of transformers know it by its former name alone.
    enable = getattr(model, "activation_checkpointing_enable", None)
    enable = enable or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"fine-tuning: recompute is set, but {error}") from error


def without_dropout(model: torch.nn.Module) -> None:
    """Switch off every dropout of a transformers model, attention's included.

    It slows a CPU down by more than half, and gains nothing in so few epochs.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        # Some attentions hold their share as a number.
        attention: Any = module
        if isinstance(getattr(attention, "attention_dropout", None), float | int):
            attention.attention_dropout = 0.0
