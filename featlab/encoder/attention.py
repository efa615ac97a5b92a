"""Attention over packed sequences: one signature, three kernels, a detected fallback.

A packed row holds many sequences, and no token may see another sequence's
tokens. transformers' own attention does not know boundaries, so a function is
registered with it that does, and that calls one of these kernels:

``varlen``
    FlashAttention inside torch (`torch.nn.attention.varlen`): CUDA, 16-bit.
``flex``
    `torch.nn.attention.flex_attention` with a block mask: CUDA, any format.
``blocks``
    Plain attention under a block-diagonal mask: everywhere, and quadratic in
    the whole pack. What the others are held against.

All three have the signature of `torch.nn.attention.varlen.varlen_attn`, so each
can stand in for the others. Where none of them works, batches are padded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, Protocol

import torch

from featlab.encoder.device import cuda_has_bfloat16

logger = logging.getLogger(__name__)

PADDED: Final = "padded"
PREFIX = "featlab_"


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


def register_kernels() -> None:
    """Make every kernel known to transformers, as ``featlab_varlen`` and so on."""
    from transformers import AttentionInterface

    for name in KERNELS:
        AttentionInterface.register(PREFIX + name, partial(packed_attention, name))


def candidates(
    model: torch.nn.Module, device: torch.device, dtype: torch.dtype, *, has_triton: bool
) -> list[str]:
    """Ways to compute attention that this model, device and format may support, best first.

    The last one is always ``padded``. On a CPU it is the only one: sorted
    batches pad little, and a packed row gains nothing there.
    """
    found: list[str] = []
    # An older card compiles neither kernel dependably, so there it is padded as well.
    if (
        getattr(model, "_supports_attention_backend", False)
        and device.type == "cuda"
        and cuda_has_bfloat16(device)
    ):
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
