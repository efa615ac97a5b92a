"""The network that is to be fine-tuned, made ready: encoder, adapters, head."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch

from featlab.encoder import EncoderSpec
from featlab.encoder.attention import PADDED
from featlab.encoder.backbone import Backbone, load_backbone
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_head import PreferenceHead
from models.preference.preference_network import PreferenceNetwork

LORA_SCALE = 32


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
    backbone = load_backbone(spec, weights, device, torch.float32, tokenizer.padding, dtype)
    without_dropout(backbone)
    if settings.lora_rank > 0:
        add_adapters(backbone, settings.lora_rank)
    head = PreferenceHead(backbone.dimension)
    return PreferenceNetwork(backbone, head, settings, models).to(device), tokenizer


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


def add_adapters(backbone: Backbone, rank: int) -> None:
    """Freeze the encoder and give every linear layer of it a low-rank adapter.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021.

    Raises
    ------
    ConfigError
        When peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError(
            "fine-tuning: lora_rank is set, but peft is not installed; "
            "run `pip install peft`, or set lora_rank to 0"
        ) from error
    config = LoraConfig(r=rank, lora_alpha=LORA_SCALE, target_modules="all-linear", bias="none")
    with warnings.catch_warnings():
        # peft asks transformers for an attribute by its former name.
        warnings.simplefilter("ignore", FutureWarning)
        backbone.model = get_peft_model(backbone.model, config)


def merge_adapters(backbone: Backbone) -> None:
    """Add the adapters, where there are any, to their weights: a saved model needs no peft."""
    model: Any = backbone.model
    if hasattr(model, "merge_and_unload"):
        backbone.model = model.merge_and_unload()
