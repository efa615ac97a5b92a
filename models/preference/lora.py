"""Low-rank adapters through peft, for encoders too large to train whole.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. The
adapters are merged into the weights in the end, so a saved model needs no peft.
"""

from __future__ import annotations

import warnings
from typing import Any

from featlab.encoder.backbone import Backbone
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings


def add_adapters(backbone: Backbone, settings: FineTuneSettings) -> None:
    """Freeze the encoder and give every linear layer of it an adapter.

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
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        bias="none",
    )
    with warnings.catch_warnings():
        # peft asks transformers for an attribute by its former name.
        warnings.simplefilter("ignore", FutureWarning)
        backbone.model = get_peft_model(backbone.model, config)


def merge_adapters(backbone: Backbone) -> None:
    """Add the adapters to the weights they belong to, where there are any."""
    model: Any = backbone.model
    if hasattr(model, "merge_and_unload"):
        backbone.model = model.merge_and_unload()
