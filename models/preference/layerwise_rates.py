"""Parameter groups: the lower a layer, the more slowly it learns."""

from __future__ import annotations

import re
from typing import Any

import torch

from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_network import PreferenceNetwork

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")


def parameter_groups(
    network: PreferenceNetwork, settings: FineTuneSettings
) -> list[dict[str, Any]]:
    """Return groups for an optimiser, each with its learning rate and its weight decay.

    The encoder's last layer has `settings.learning_rate`, each layer below it
    `layer_decay` times that of the layer above, the embeddings that of a layer
    below the first. What is no layer and no embedding (a final norm) learns
    like the last layer; adapters all learn like it, and the head has its own rate.

    Returns
    -------
    list of dict
        Keys ``params``, ``lr`` and ``weight_decay``; frozen parameters are in none.
    """
    encoder = dict(network.backbone.named_parameters())
    depth = 1 + max((_layer_of(name) or 0 for name in encoder), default=0)
    decay = 1.0 if settings.lora_rank > 0 else settings.layer_decay
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        inner = name.removeprefix("backbone.")
        if inner not in encoder:
            rate = settings.head_learning_rate
        else:
            layer = _layer_of(inner)
            # All of the block the token table belongs to: its norm and its positions too.
            outside = depth if "embed" in inner else 0
            below = outside if layer is None else depth - 1 - layer
            rate = settings.learning_rate * decay**below
        shrinking = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, shrinking), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": shrinking}
        for (rate, shrinking), parameters in groups.items()
    ]


def _layer_of(name: str) -> int | None:
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None
