"""Attention over packed sequences: one signature, four kernels, a detected fallback.

A packed row holds many sequences, and no token may see another sequence's
tokens. transformers' own attention does not know boundaries, so a function is
registered with it that does, and that calls one of these kernels:

``varlen``
    FlashAttention inside torch (`torch.nn.attention.varlen`): CUDA, 16-bit.
``flex``
    `torch.nn.attention.flex_attention` with a block mask: CUDA, any format.
``sequences``
    One call of torch's attention for each length in the pack, sliding windows
    in strips: what suits a CPU.
``blocks``
    Plain attention under a block-diagonal mask: everywhere, and quadratic in
    the whole pack. What the others are held against.

All of them have the signature of `torch.nn.attention.varlen.varlen_attn`, so
each can stand in for the others. Where none works, batches are padded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, Final, Protocol

import torch

from featlab.encoder.device import cuda_has_bfloat16

logger = logging.getLogger(__name__)

PADDED: Final = "padded"
PREFIX = "featlab_"
STRIP = 256
"""Tokens whose windows are attended to at once on a CPU."""

LONGEST_BY_PRODUCTS = 512
"""Padded length up to which batched matrix products train faster on a CPU than torch's kernel."""


class Kernel(Protocol):
    """Attention within the sequences of a pack.

    Parameters
    ----------
    query, key, value : tensors of shape (tokens, heads, head dimension)
    cu_seq_q, cu_seq_k : int32 tensors of shape (n + 1,)
        Where each sequence starts, and where the last one ends.
    max_q, max_k : int
        Tokens of the longest sequence.
    scale : float, optional
        Factor of the scores; ``None`` is one over the root of the head dimension.
    window_size : (int, int)
        How many tokens to the left and to the right are seen; -1 is all of them.

    Returns
    -------
    tensor of shape (tokens, heads, head dimension)
    """

    def __call__(  # noqa: D102
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        cu_seq_q: torch.Tensor,
        cu_seq_k: torch.Tensor,
        max_q: int,
        max_k: int,
        *,
        scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1),
    ) -> torch.Tensor: ...


class MaskCache:
    """Masks of the pack in hand, made once a window size and used by every layer.

    Parameters
    ----------
    make : callable of (boundaries, window) -> mask
    """

    def __init__(self, make: Callable[[torch.Tensor, int], Any]) -> None:
        self._make = make
        self._boundaries: torch.Tensor | None = None
        self._masks: dict[int, Any] = {}

    def __call__(self, boundaries: torch.Tensor, window: int) -> Any:
        """The mask of these boundaries; `window` -1 sees the whole sequence."""
        # The tensor itself is kept, so its identity cannot pass to another one.
        if boundaries is not self._boundaries:
            self._boundaries = boundaries
            self._masks = {}
        if window not in self._masks:
            self._masks[window] = self._make(boundaries, window)
        return self._masks[window]


def sequence_numbers(boundaries: torch.Tensor) -> torch.Tensor:
    """Which sequence each token of a pack belongs to, int64 of shape (tokens,).

    Examples
    --------
    >>> sequence_numbers(torch.tensor([0, 3, 4])).tolist()
    [0, 0, 0, 1]
    """
    lengths = boundaries.diff().long()
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def block_mask(boundaries: torch.Tensor, window: int) -> torch.Tensor:
    """Who sees whom in a pack: bool of shape (tokens, tokens).

    Examples
    --------
    >>> block_mask(torch.tensor([0, 2, 3]), window=-1).int().tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    owner = sequence_numbers(boundaries)
    mask = owner[:, None] == owner[None, :]
    if window >= 0:
        place = torch.arange(len(owner), device=owner.device)
        mask &= (place[:, None] - place[None, :]).abs() <= window
    return mask


def _flex_mask(boundaries: torch.Tensor, window: int) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    owner = sequence_numbers(boundaries)

    def visible(
        batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        together = owner[query] == owner[key]
        if window < 0:
            return together
        return together & ((query - key).abs() <= window)

    tokens = len(owner)
    return create_block_mask(visible, None, None, tokens, tokens, device=str(owner.device))


_block_masks = MaskCache(block_mask)
_flex_masks = MaskCache(_flex_mask)


def blocks_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """Attention under a block-diagonal mask; see `Kernel`."""
    attended = torch.nn.functional.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        key.transpose(0, 1)[None],
        value.transpose(0, 1)[None],
        attn_mask=_block_masks(cu_seq_q, window_size[0])[None, None],
        scale=scale,
    )
    return attended[0].transpose(0, 1)


def sequences_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """Attention sequence by sequence, neighbours of one length together; see `Kernel`."""
    attended = torch.empty_like(value)
    start = 0
    for length, run in groupby(cu_seq_q.diff().tolist()):
        end = start + length * len(list(run))
        parts = (
            part[start:end].view(-1, length, *part.shape[1:]).transpose(1, 2)
            for part in (query, key, value)
        )
        found = _windowed(*parts, scale=scale, window=window_size[0])
        attended[start:end] = found.transpose(1, 2).flatten(0, 1)
        start = end
    return attended


def _windowed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float | None,
    window: int,
) -> torch.Tensor:
    attention = torch.nn.functional.scaled_dot_product_attention
    length = query.shape[-2]
    if not 0 <= window < length - 1:
        return attention(query, key, value, scale=scale)
    strips = []
    for first in range(0, length, STRIP):
        last = min(first + STRIP, length)
        left, right = max(first - window, 0), min(last + window, length)
        places = torch.arange(first, last)[:, None] - torch.arange(left, right)[None, :]
        strips.append(
            attention(
                query[..., first:last, :],
                key[..., left:right, :],
                value[..., left:right, :],
                attn_mask=(places.abs() <= window).to(query.device),
                scale=scale,
            )
        )
    return torch.cat(strips, dim=-2)


def flex_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """Attention by flex_attention, compiled on CUDA; see `Kernel`."""
    attended = _flex_attention(query.is_cuda)(
        query.transpose(0, 1)[None],
        key.transpose(0, 1)[None],
        value.transpose(0, 1)[None],
        block_mask=_flex_masks(cu_seq_q, window_size[0]),
        scale=scale,
    )
    return attended[0].transpose(0, 1)  # type: ignore[no-any-return]


@lru_cache(maxsize=2)
def _flex_attention(compiled: bool) -> Callable[..., Any]:
    from torch.nn.attention import flex_attention as flex

    plain: Callable[..., Any] = flex.flex_attention
    return torch.compile(plain) if compiled else plain


def varlen_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """Attention by FlashAttention inside torch; see `Kernel`."""
    from torch.nn.attention.varlen import varlen_attn

    attended = varlen_attn(
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        scale=scale,
        window_size=window_size,
    )
    assert isinstance(attended, torch.Tensor)
    return attended


KERNELS: dict[str, Kernel] = {
    "varlen": varlen_kernel,
    "flex": flex_kernel,
    "sequences": sequences_kernel,
    "blocks": blocks_kernel,
}
"""The kernels by name; looked up at every call, so a test can put another in a name's place."""


def packed_attention(
    kernel: str,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer of a packed forward pass.

    Parameters
    ----------
    kernel : str
        A key of `KERNELS`.
    query, key, value : tensors of shape (1, heads, tokens, head dimension)
    sliding_window : int, optional
        As transformers hands it to FlashAttention: one more than the tokens
        seen on either side.
    cu_seq_lens_q, max_length_q
        The pack's boundaries and its longest sequence.

    Returns
    -------
    (tensor of shape (1, tokens, heads, head dimension), None)

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
    attended = KERNELS[kernel](
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(side, side),
    )
    return attended[None], None


def padded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer of a padded forward pass on a CPU.

    It is torch's own attention, save where that is slow: the backward pass of
    its bfloat16 kernel for CPUs takes two to six times as long as the five
    matrix products it stands for, as long as the score matrix is small.

    Parameters
    ----------
    query, key, value : tensors of shape (n, heads, longest, head dimension)
    attention_mask : bool tensor of shape (n, 1, 1 or longest, longest), optional

    Returns
    -------
    (tensor of shape (n, longest, heads, head dimension), None)
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    by_products = (
        query.dtype == torch.bfloat16
        and query.requires_grad
        and dropout == 0.0
        and query.shape == key.shape
        and query.shape[-2] <= LONGEST_BY_PRODUCTS
    )
    if by_products:
        return products_kernel(query, key, value, attention_mask, scaling).transpose(1, 2), None
    attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
    )
    return attended


def products_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None,
) -> torch.Tensor:
    """Attention as two batched matrix products, shapes as in `padded_attention`."""
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


def candidates(
    model: torch.nn.Module, device: torch.device, dtype: torch.dtype, *, has_triton: bool
) -> list[str]:
    """Ways to compute attention that this model, device and format may support, best first.

    The last one is always ``padded``.
    """
    if not getattr(model, "_supports_attention_backend", False):
        return [PADDED]
    if device.type == "cpu":
        return ["sequences", PADDED]
    found: list[str] = []
    # An older card compiles neither kernel dependably.
    if device.type == "cuda" and cuda_has_bfloat16(device):
        if has_varlen() and dtype in {torch.bfloat16, torch.float16}:
            found.append("varlen")
        if has_triton:
            found.append("flex")
    return [*found, PADDED]


def has_varlen() -> bool:
    """Whether this torch carries `torch.nn.attention.varlen`."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return callable(varlen_attn)
