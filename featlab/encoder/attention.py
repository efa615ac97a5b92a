"""Attention over packed sequences: three kernels of one signature, a detected fallback.

A packed row holds many sequences, and no token may see another sequence's
tokens. transformers' own attention does not know boundaries, so a function is
registered with it that does, and that calls one of these kernels:

``varlen``
    FlashAttention inside torch: CUDA, 16-bit.
``sequences``
    One call of torch's attention for each length in the pack, sliding windows
    in strips: what suits a CPU.
``blocks``
    Plain attention under a block-diagonal mask: everywhere, and quadratic in
    the whole pack. What the others are held against.

Where none works, batches are padded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import signature
from itertools import groupby
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from featlab.encoder.device import cuda_has_bfloat16

PADDED: Final = "padded"
PREFIX = "featlab_"
STRIP = 256
"""Tokens whose windows are attended to at once on a CPU."""

LONGEST_BY_PRODUCTS = 512
"""Padded length up to which batched matrix products train faster on a CPU than torch's kernel."""


@dataclass(frozen=True, eq=False)
class Scope:
    """Which tokens of a packed row see each other, and how their scores are scaled.

    Parameters
    ----------
    boundaries : int32 tensor of shape (n + 1,)
        Where each sequence starts, and where the last one ends.
    longest : int
        Tokens of the longest sequence.
    window : int
        How many tokens to the left and to the right are seen; -1 is all of them.
    scale : float, optional
        Factor of the scores; ``None`` is one over the root of the head dimension.
    """

    boundaries: Tensor
    longest: int
    window: int = -1
    scale: float | None = None


Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, Scope], Tensor]
"""From queries, keys and values to what is attended to, all (tokens, heads, head dimension)."""


def varlen_kernel(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend by FlashAttention inside torch."""
    bounds = (scope.boundaries, scope.boundaries, scope.longest, scope.longest)
    read, scale, window = (query, key, value, *bounds), scope.scale, scope.window
    found: Tensor
    if (varlen := _public_varlen()) is not None:
        found = varlen(*read, scale=scale, window_size=(window, window))
    else:
        # What that function calls; older releases of torch have no public name for it.
        sides = {"window_size_left": window, "window_size_right": window}
        found, *_ = torch.ops.aten._flash_attention_forward(
            *read, 0.0, False, False, scale=scale, **sides
        )
    return found


@lru_cache(maxsize=1)
def _public_varlen() -> Callable[..., Any] | None:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if "window_size" in signature(varlen_attn).parameters else None


def sequences_kernel(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend sequence by sequence, neighbours of one length together."""
    attended = torch.empty_like(value)
    start = 0
    for length, run in groupby(scope.boundaries.diff().tolist()):
        end = start + length * len(list(run))
        shape = (-1, length, *query.shape[1:])
        q, k, v = (part[start:end].view(shape).transpose(1, 2) for part in (query, key, value))
        attended[start:end] = _windowed(q, k, v, scope).transpose(1, 2).flatten(0, 1)
        start = end
    return attended


def _windowed(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    length, window = query.shape[-2], scope.window
    if not 0 <= window < length - 1:
        return scaled_dot_product_attention(query, key, value, scale=scope.scale)
    strips = []
    for first in range(0, length, STRIP):
        last = min(first + STRIP, length)
        left, right = max(first - window, 0), min(last + window, length)
        places = torch.arange(first, last)[:, None] - torch.arange(left, right)[None, :]
        strips.append(
            scaled_dot_product_attention(
                query[..., first:last, :],
                key[..., left:right, :],
                value[..., left:right, :],
                attn_mask=(places.abs() <= window).to(query.device),
                scale=scope.scale,
            )
        )
    return torch.cat(strips, dim=-2)


def blocks_kernel(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend under a block-diagonal mask."""
    q, k, v = (part.transpose(0, 1)[None] for part in (query, key, value))
    mask = block_mask(scope.boundaries, scope.window)[None, None]
    attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scope.scale)
    return attended[0].transpose(0, 1)


# Of the pack in hand, for every layer: tensors are equal here only if they are the same object.
@lru_cache(maxsize=2)
def block_mask(boundaries: Tensor, window: int) -> Tensor:
    """Return who sees whom in a pack: bool of shape (tokens, tokens).

    Examples
    --------
    >>> block_mask(torch.tensor([0, 2, 3]), -1).int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    lengths = boundaries.diff().long()
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    mask = owner[:, None] == owner[None, :]
    if window >= 0:
        place = torch.arange(len(owner), device=owner.device)
        mask &= (place[:, None] - place[None, :]).abs() <= window
    return mask


KERNELS: dict[str, Kernel] = {
    "varlen": varlen_kernel,
    "sequences": sequences_kernel,
    "blocks": blocks_kernel,
}
"""The kernels by name; looked up at every call, so a test can put another in a name's place."""


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
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Compute attention for transformers, in every layer of a packed forward pass.

    The arguments are those it has for FlashAttention: the pack's boundaries and
    its longest sequence, and a sliding window of one more than the tokens seen
    on either side. Tensors come as (1, heads, tokens, head dimension) and go as
    (1, tokens, heads, head dimension).

    Raises
    ------
    ValueError
        When the boundaries did not come through, or dropout is on: either
        would be silently wrong.
    """
    if cu_seq_lens_q is None or max_length_q is None:
        raise ValueError("packed attention was called without the boundaries of the pack")
    if dropout > 0.0:
        raise ValueError("packed attention has no dropout; switch it off or pad the batches")
    side = -1 if sliding_window is None else sliding_window - 1
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    scope = Scope(cu_seq_lens_q, max_length_q, side, scaling)
    return KERNELS[kernel](q, k, v, scope)[None], None


def padded_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Compute attention for transformers, in every layer of a padded forward pass on a CPU.

    It is torch's own attention, save where that is slow: the backward pass of
    its bfloat16 kernel for CPUs takes two to six times as long as the five
    matrix products it stands for, as long as the score matrix is small.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    small = query.shape == key.shape and query.shape[-2] <= LONGEST_BY_PRODUCTS
    if small and query.dtype == torch.bfloat16 and query.requires_grad and dropout == 0.0:
        return matrix_products(query, key, value, attention_mask, scaling).transpose(1, 2), None
    attended: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
    )
    return attended


def matrix_products(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None
) -> Tensor:
    """Attend by two batched matrix products, shapes as in `padded_attention`."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if mask is not None:
        scores += torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(
            ~mask, torch.finfo(scores.dtype).min
        )
    return torch.matmul(scores.softmax(-1), value)


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
