"""Low-rank adapters: a few trained numbers beside every frozen linear layer.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. A layer
computes ``W x + (scale / rank) U D x``; W is frozen, in 16 or 4 bits, and only U
and D are trained and saved. So the folds of a large model share its weights, and
a bundle holds megabytes of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear

from featlab.encoder.backbone import Backbone
from featlab.errors import BundleError

SCALE = 32
PREFIX = "adapter."
"""Begins the name of every array of a state that belongs to an adapter."""


class AdaptedLinear(torch.nn.Module):
    """A frozen linear layer with an adapter, which adds nothing until it is trained.

    Parameters
    ----------
    frozen : Linear
        Of any number format, quantised ones included.
    rank : int
        Of what is added.
    """

    def __init__(self, frozen: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        self.frozen = frozen
        self.scale = SCALE / rank
        device = frozen.weight.device
        self.down = torch.nn.Parameter(torch.empty(rank, frozen.in_features, device=device))
        self.up = torch.nn.Parameter(torch.zeros(frozen.out_features, rank, device=device))
        torch.nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Compute the layer, of shape (..., outputs)."""
        found: torch.Tensor = self.frozen(inputs)
        return found + self.scale * linear(linear(inputs, self.down), self.up)


def add_adapters(backbone: Backbone, rank: int) -> None:
    """Freeze a backbone and give each linear layer of it, attention's and MLP's, an adapter."""
    backbone.requires_grad_(False)
    for parent in [*backbone.model.modules()]:
        for name, layer in [*parent.named_children()]:
            if isinstance(layer, torch.nn.Linear):
                setattr(parent, name, AdaptedLinear(layer, rank))


def adapter_arrays(backbone: Backbone) -> dict[str, NDArray[Any]]:
    """Return what was trained, by names that begin with `PREFIX`, float32."""
    return {name: part.detach().float().cpu().numpy() for name, part in _parts(backbone)}


def set_adapters(backbone: Backbone, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put trained adapters in the place of those that are there.

    Raises
    ------
    BundleError
        When they are not those of this model.
    """
    parts = dict(_parts(backbone))
    found = {name: array for name, array in arrays.items() if name.startswith(PREFIX)}
    if {name: array.shape for name, array in found.items()} != {
        name: tuple(part.shape) for name, part in parts.items()
    }:
        raise BundleError(
            f"{type(backbone.model).__name__}: the adapters were trained on another model; "
            "give the encoder that they were trained on"
        )
    for name, part in parts.items():
        part.data.copy_(torch.from_numpy(np.ascontiguousarray(found[name])))


def _parts(backbone: Backbone) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, module in backbone.model.named_modules():
        if isinstance(module, AdaptedLinear):
            yield f"{PREFIX}{name}.down", module.down
            yield f"{PREFIX}{name}.up", module.up
