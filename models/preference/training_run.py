"""What a fine-tuning needs, made ready in one place: network, tokens, device, format."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import torch

from featlab.encoder import EncoderSpec
from featlab.encoder.attention import PADDED
from featlab.encoder.backbone import load_backbone
from featlab.encoder.device import pick_device
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.lora import add_adapters
from models.preference.preference_head import PreferenceHead
from models.preference.preference_network import PreferenceNetwork, set_dropout
from models.preference.token_budget_trainer import precision_arguments
from models.preference.training_battles import TrainingBattles, tokenised


@dataclass(frozen=True)
class TrainingRun:
    """A network and what it is to be trained on.

    Parameters
    ----------
    network : PreferenceNetwork
        On its device, weights in float32.
    tokenizer : Tokenizer
        The encoder's.
    battles : TrainingBattles
    validation : TrainingBattles, optional
    device : torch.device
    dtype : torch.dtype
        Format of the arithmetic.
    arguments : dict
        What the Trainer has to be told for it.
    """

    network: PreferenceNetwork
    tokenizer: Tokenizer
    battles: TrainingBattles
    validation: TrainingBattles | None
    device: torch.device
    dtype: torch.dtype
    arguments: dict[str, Any]


def prepare_run(
    battles: pl.DataFrame,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    validation: pl.DataFrame | None,
    soft_labels: pl.DataFrame | None,
    device: str,
) -> TrainingRun:
    """Load the encoder, put a new head on it and tokenise the battles.

    Raises
    ------
    BattleError, WeightsError, ConfigError
        As `models.preference.fine_tuning.fine_tune` does.
    """
    picked = _own_card(pick_device(device))
    dtype, arguments = precision_arguments(settings.precision, picked)
    weights = find_weights(spec)
    tokenizer = Tokenizer(weights, spec)
    read = tokenised(battles, tokenizer, soft_labels)
    # No packed kernel has dropout; and on a CPU padded batches train faster.
    pads = settings.dropout > 0 or (picked.type == "cpu" and spec.attention == "auto")
    reads = replace(spec, attention=PADDED) if pads else spec
    backbone = load_backbone(reads, weights, picked, torch.float32, tokenizer.padding, dtype)
    set_dropout(backbone, settings.dropout)
    if settings.gradient_checkpointing:
        _checkpoint_gradients(backbone.model)
    if settings.lora_rank > 0:
        add_adapters(backbone, settings)
    head = PreferenceHead(backbone.dimension)
    return TrainingRun(
        network=PreferenceNetwork(backbone, head, settings, len(read.names)).to(picked),
        tokenizer=tokenizer,
        battles=read,
        validation=None if validation is None else tokenised(validation, tokenizer),
        device=picked,
        dtype=dtype,
        arguments=arguments,
    )


def _checkpoint_gradients(model: Any) -> None:
    kwargs = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=kwargs)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)


def _own_card(device: torch.device) -> torch.device:
    card = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", card) if str(device) == "cuda" else device
