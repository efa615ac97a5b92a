"""Attention over sequences that lie end to end: three kernels of one signature.

``varlen``
    FlashAttention inside torch: CUDA, 16-bit.
``sequences``
    One call of torch's attention for each length in the pack, sliding windows
    in strips: what suits a CPU.
``blocks``
    Plain attention under a block-diagonal mask: everywhere, and quadratic in
    the whole pack. What the others are held against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from itertools import groupby
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

STRIP = 256
"""Tokens whose windows are attended to at once on a CPU."""


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
    causal : bool
        Whether a token sees itself and those before it alone, as in a decoder.
    softcap : float, optional
        Bound that scores near by a hyperbolic tangent (Gemma 2).
    """

    boundaries: Tensor
    longest: int
    window: int = -1
    scale: float | None = None
    causal: bool = False
    softcap: float | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """How many tokens are seen to the left and to the right; -1 is all of them."""
        return self.window, 0 if self.causal else self.window


Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, Scope], Tensor]
"""From queries, keys and values to what is attended to, all (tokens, heads, head dimension)."""


def varlen_kernel(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend by FlashAttention inside torch."""
    if scope.softcap is not None:
        raise ValueError("torch's FlashAttention does not cap scores")
    bounds = (scope.boundaries, scope.boundaries, scope.longest, scope.longest)
    read, scale, sides = (query, key, value, *bounds), scope.scale, scope.sides
    found: Tensor
    if (varlen := _public_varlen()) is not None:
        found = varlen(*read, scale=scale, window_size=sides)
    else:
        # What that function calls; older releases of torch have no public name for it.
        named = dict(zip(("window_size_left", "window_size_right"), sides, strict=True))
        found, *_ = torch.ops.aten._flash_attention_forward(
            *read, 0.0, sides == (-1, 0), False, scale=scale, **named
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
        return attend(query, key, value, scope)
    strips = []
    for first in range(0, length, STRIP):
        last = min(first + STRIP, length)
        left = max(first - window, 0)
        right = last if scope.causal else min(last + window, length)
        back = torch.arange(first, last)[:, None] - torch.arange(left, right)[None, :]
        strips.append(
            attend(
                query[..., first:last, :],
                key[..., left:right, :],
                value[..., left:right, :],
                scope,
                _within(back, window, scope.causal).to(query.device),
            )
        )
    return torch.cat(strips, dim=-2)


def _within(back: Tensor, window: int, causal: bool) -> Tensor:
    # `back` is how many places a token looks back to another; a window of -1 is none.
    seen = back >= 0 if causal else torch.ones_like(back, dtype=torch.bool)
    return seen & (back.abs() <= window) if window >= 0 else seen


def blocks_kernel(query: Tensor, key: Tensor, value: Tensor, scope: Scope) -> Tensor:
    """Attend under a block-diagonal mask."""
    q, k, v = (part.transpose(0, 1)[None] for part in (query, key, value))
    mask = block_mask(scope.boundaries, scope.window, scope.causal)[None, None]
    return attend(q, k, v, scope, mask)[0].transpose(0, 1)


# Of the pack in hand, for every layer: tensors are equal here only if they are the same object.
@lru_cache(maxsize=2)
def block_mask(boundaries: Tensor, window: int, causal: bool = False) -> Tensor:
    """Return who sees whom in a pack: bool of shape (tokens, tokens).

    Examples
    --------
    >>> block_mask(torch.tensor([0, 2, 3]), -1).int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    >>> block_mask(torch.tensor([0, 2, 3]), -1, causal=True).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    """
    lengths = boundaries.diff().long()
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    place = torch.arange(len(owner), device=owner.device)
    same = owner[:, None] == owner[None, :]
    return same & _within(place[:, None] - place[None, :], window, causal)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scope: Scope,
    mask: Tensor | None = None,
) -> Tensor:
    """Attend within single sequences: as a mask says, or all to all, or all to what came before.

    That is torch's attention or, where scores are capped, two matrix products.
    """
    causal = scope.causal and mask is None
    if scope.softcap is not None:
        return matrix_products(
            query, key, value, mask, scope.scale, causal=causal, softcap=scope.softcap
        )
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scope.scale
    )


def matrix_products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
    *,
    causal: bool = False,
    softcap: float | None = None,
) -> Tensor:
    """Attend by two batched matrix products, shapes as in `padded_attention`.

    Parameters
    ----------
    query, key, value : tensors of shape (..., tokens, head dimension)
    mask : bool tensor, optional
        True where a query sees a key.
    scale, softcap
        As in `Scope`.
    causal : bool
        In place of a mask: a query sees its own key and earlier ones alone.
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores += torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(
            ~mask, torch.finfo(scores.dtype).min
        )
    return torch.matmul(scores.softmax(-1), value)


KERNELS: dict[str, Kernel] = {
    "varlen": varlen_kernel,
    "sequences": sequences_kernel,
    "blocks": blocks_kernel,
}
"""The kernels by name; looked up at every call, so a test can put another in a name's place."""
