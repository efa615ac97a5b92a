"""The trainable middle of an encoder: batches in, one pooled vector a sequence out.

The same module serves inference and fine-tuning. How attention is computed is
chosen when the module is made, and proved there: a packed forward pass that
does not agree with a padded one is not used.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from featlab.encoder.attention import PADDED, PREFIX, candidates, register_kernels
from featlab.encoder.pack import (
    Batch,
    Indices,
    PackedBatch,
    TokenIds,
    pack,
    pad,
    plan_batches,
    pool,
)
from featlab.encoder.pretrained import cast_weights, in_four_bits, load_model
from featlab.encoder.self_check import disagreement
from featlab.encoder.spec import LONGEST_SEQUENCE, EncoderSpec, PooledBy, Pooling
from featlab.errors import ConfigError

logger = logging.getLogger(__name__)


class Backbone(torch.nn.Module):
    """A transformers encoder or decoder with its way of attention and its pooling.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        What ``AutoModel`` loads: token ids in, hidden states out.
    pooling : {"auto", "mean", "cls", "last"}
        How a sequence becomes one vector.
    padding : int
        The token that fills padded rows.

    Raises
    ------
    ConfigError
        When the first token of a decoder, which has seen nothing else, shall
        stand for a sequence.
    """

    def __init__(self, model: torch.nn.Module, pooling: Pooling, padding: int = 0) -> None:
        super().__init__()
        self.model = model
        self.padding = padding
        self.causal = _is_causal(model)
        if pooling == "cls" and self.causal:
            raise ConfigError(
                f"encoder: {type(model).__name__} is a decoder, whose first token sees no other; "
                "choose pooling 'last' or 'mean'"
            )
        by_itself: PooledBy = "last" if self.causal else "mean"
        self.pooling: PooledBy = by_itself if pooling == "auto" else pooling
        self.position_offset = _position_offset(model)
        self.use_attention(PADDED)

    @property
    def config(self) -> Any:
        """The model's transformers configuration."""
        return self.model.config

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.config.hidden_size)

    @property
    def positions(self) -> int | None:
        """Tokens that it reads at most; ``None`` where there is no limit."""
        limit = getattr(self.config, "max_position_embeddings", None)
        if not limit or getattr(self.config, "position_biased_input", True) is False:
            return None
        return int(limit) - self.position_offset

    @property
    def packed(self) -> bool:
        """Whether batches are packed rows; else they are padded rectangles."""
        return self.attention != PADDED

    def use_attention(self, attention: str) -> None:
        """Compute attention from now on ``"padded"``, or by one of `attention.KERNELS`."""
        model = cast("Any", self.model)
        if getattr(model, "_supports_attention_backend", False):
            register_kernels()
            model.set_attn_implementation(PREFIX + attention)
        elif attention != PADDED:
            raise ConfigError(
                f"encoder: {type(model).__name__} computes attention its own way; "
                "only attention 'padded' works with it"
            )
        self.attention = attention

    def plan(self, lengths: npt.NDArray[np.integer], budget: int) -> list[Indices]:
        """Decide which sequences share a batch of at most `budget` tokens, longest first."""
        return plan_batches(lengths, budget, padded=not self.packed)

    def batch(self, sequences: Sequence[TokenIds]) -> Batch:
        """Make one batch, on the CPU, of sequences of which none is empty."""
        return pack(sequences) if self.packed else pad(sequences, self.padding)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compute the sequences' vectors, float32 of shape (n, dimension)."""
        return pool(self.hidden(batch), batch, self.pooling)

    def hidden(self, batch: Batch) -> torch.Tensor:
        """Compute the tokens' vectors, of shape (rows, columns, dimension)."""
        if isinstance(batch, PackedBatch):
            outputs = self.model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids + self.position_offset,
                cu_seq_lens_q=batch.boundaries,
                cu_seq_lens_k=batch.boundaries,
                max_length_q=batch.longest,
                max_length_k=batch.longest,
            )
        else:
            # Without a mask the kernels that know none, which are the fastest, are open.
            mask = batch.attention_mask if batch.padded else None
            outputs = self.model(input_ids=batch.input_ids, attention_mask=mask)
        states: torch.Tensor = outputs.last_hidden_state
        return states


def load_backbone(
    spec: EncoderSpec,
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    padding: int = 0,
    autocast: torch.dtype | None = None,
    *,
    frozen: bool = False,
    four_bits: bool = False,
) -> Backbone:
    """Load an encoder's weights from a checked folder and choose its way of attention.

    Parameters
    ----------
    spec : EncoderSpec
        For its `pooling`, `attention` and `max_tokens`.
    folder : Path
        From `featlab.encoder.weights.find_weights`.
    device, dtype
        Where the weights go and their format. Training keeps them in float32.
    padding : int
        The token that fills padded rows.
    autocast : torch.dtype, optional
        Format the attention will be computed in, where autocast makes it
        another one than the weights'.
    frozen : bool
        Hold the linear layers, which are nearly all of a large model and will
        not be trained, in the format of `autocast`; norms and token vectors
        stay in `dtype`, and with them the sums from layer to layer.
    four_bits : bool
        Hold the linear layers in 4 bits instead (needs CUDA and bitsandbytes).

    Raises
    ------
    WeightsError
        When the weights do not fill the model that the configuration describes.
    ConfigError
        When the model reads fewer tokens than `spec.max_tokens`, or cannot
        compute attention as the spec demands, or nothing here computes in 4 bits.
    """
    computed = dtype if autocast is None else autocast
    as_stored = {"dtype": "auto"} if frozen else {"dtype": torch.float32}
    model = load_model(folder, in_four_bits(device, computed) if four_bits else as_stored)
    cast_weights(model, dtype, computed if frozen else None)
    backbone = Backbone(model if four_bits else model.to(device), spec.pooling, padding)
    limit = backbone.positions
    if limit is not None and spec.max_tokens > limit:
        raise ConfigError(
            f"encoder: max_tokens is {spec.max_tokens}, but {spec.model} reads at most {limit}"
        )
    choose_attention(backbone, spec.attention, autocast, spec.max_tokens)
    return backbone


def choose_attention(
    backbone: Backbone,
    requested: str,
    dtype: torch.dtype | None = None,
    longest: int = LONGEST_SEQUENCE,
) -> str:
    """Set the best way of attention that is proved to work here, and return its name.

    What is `requested` is one way, which must work, or ``"auto"``; `dtype` is what
    `load_backbone` calls `autocast`, `longest` how many tokens a sequence will
    have at most.
    """
    parameter = next(backbone.parameters())
    computed = parameter.dtype if dtype is None else dtype
    ways = [requested]
    if requested == "auto":
        ways = candidates(backbone.model, parameter.device, computed)
    for way in ways:
        problem = disagreement(backbone, way, computed, longest)
        if problem is None:
            backbone.use_attention(way)
            return way
        if requested != "auto":
            raise ConfigError(f"encoder: attention '{way}' does not work here: {problem}")
        logger.warning("attention '%s' is not used: %s", way, problem)
    raise ConfigError("encoder: no way of attention works here")


def _is_causal(model: torch.nn.Module) -> bool:
    # Each attention layer says so, by its architecture and the configuration.
    return any(getattr(module, "is_causal", False) is True for module in model.modules())


def _position_offset(model: torch.nn.Module) -> int:
    # RoBERTa and its kin count positions from the padding token's number on.
    embeddings: Any = getattr(model, "embeddings", None)
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        return int(embeddings.padding_idx) + 1
    return 0
