"""How attention is computed over packed sequences, as transformers calls it.

A packed row holds many sequences, and no token may see another sequence's
tokens. transformers' own attention does not know boundaries, so a function is
registered with it that does, and that calls one of `featlab.encoder.kernels`.
Where none works, batches are padded.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from featlab.encoder.device import cuda_has_bfloat16
from featlab.encoder.kernels import KERNELS, Scope, matrix_products
from featlab.errors import ConfigError

PADDED: Final = "padded"
PREFIX = "featlab_"

LONGEST_BY_PRODUCTS = 512
"""Padded length up to which batched matrix products train faster on a CPU than torch's kernel."""

UNKNOWN = ("position_bias", "s_aux")
"""What transformers may hand an attention to change its scores by, and no kernel here knows."""


def packed_attention(
    kernel: str,
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Compute attention for transformers, in every layer of a packed forward pass.

    The arguments are those it has for FlashAttention: the pack's boundaries and
    its longest sequence, and a sliding window of one more than the tokens seen
    on either side. Whether a layer looks ahead is what the layer says of itself.
    Tensors come as (1, heads, tokens, head dimension), keys and values possibly
    of fewer heads that each serve several, and go as (1, tokens, heads, head
    dimension).

    Raises
    ------
    ValueError
        When the boundaries did not come through, dropout is on, or scores are
        changed in a way that is not known here: each would be silently wrong.
    """
    if cu_seq_lens_q is None or max_length_q is None:
        raise ValueError("packed attention was called without the boundaries of the pack")
    if dropout > 0.0:
        raise ValueError("packed attention has no dropout; switch it off or pad the batches")
    if unknown := [name for name in UNKNOWN if rest.get(name) is not None]:
        raise ValueError(f"packed attention does not know {unknown[0]}")
    side = -1 if sliding_window is None else sliding_window - 1
    causal = looks_back(module) if is_causal is None else is_causal
    parts = (query, *for_all_heads(query, key, value))
    q, k, v = (part[0].transpose(0, 1) for part in parts)
    scope = Scope(cu_seq_lens_q, max_length_q, side, scaling, causal, softcap)
    return KERNELS[kernel](q, k, v, scope)[None], None


def looks_back(module: torch.nn.Module) -> bool:
    """Return whether an attention layer is causal, by what transformers itself goes by."""
    return bool(getattr(module, "is_causal", True))


def for_all_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values with as many heads as the queries have, heads in dimension 1.

    Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models", 2023.
    """
    each = query.shape[1] // key.shape[1]
    if each == 1:
        return key, value
    return key.repeat_interleave(each, 1), value.repeat_interleave(each, 1)


def padded_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Compute attention for transformers, in every layer of a padded forward pass.

    It is torch's own attention, save where that cannot cap scores, and where it
    is slow: on a CPU the backward pass of its bfloat16 kernel takes two to six
    times as long as the five matrix products it stands for, as long as the
    score matrix is small.

    Raises
    ------
    ConfigError
        When the model's attention has what torch's has not.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if rest.get("s_aux") is not None:
        raise ConfigError(
            f"encoder: {type(module).__name__} has attention sinks, which are not computed here; "
            "choose another model"
        )
    length = query.shape[-2]
    slow = query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad
    small = length == key.shape[-2] <= LONGEST_BY_PRODUCTS
    if dropout == 0.0 and (softcap is not None or (slow and small)):
        key, value = for_all_heads(query, key, value)
        causal = attention_mask is None and looks_back(module)
        attended = matrix_products(
            query, key, value, attention_mask, scaling, causal=causal, softcap=softcap
        )
        return attended.transpose(1, 2), None
    found: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling,
        softcap=softcap, **rest,
    )  # fmt: skip
    return found


def register_kernels() -> None:
    """Make every way of attention known to transformers, as ``featlab_varlen`` and so on."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for name in KERNELS:
        AttentionInterface.register(PREFIX + name, partial(packed_attention, name))
    AttentionInterface.register(PREFIX + PADDED, padded_attention)
    AttentionMaskInterface.register(PREFIX + PADDED, sdpa_mask)


def candidates(model: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Return the ways of attention that may work with this model, device and format, best first.

    The last one is always ``padded``.
    """
    if not getattr(model, "_supports_attention_backend", False):
        return [PADDED]
    if device.type == "cpu":
        return ["sequences", PADDED]
    # FlashAttention is for 16-bit numbers, and for Ampere and later.
    half = dtype in {torch.bfloat16, torch.float16}
    flash = device.type == "cuda" and half and cuda_has_bfloat16(device)
    return ["varlen", PADDED] if flash else [PADDED]
