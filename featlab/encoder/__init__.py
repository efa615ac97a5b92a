"""Reads text with a transformer: ready token sequences in, pooled vectors out.

Importing this package imports no torch; loading an encoder does. It needs
torch, transformers, safetensors and numpy, and nothing else of this project's
dependencies, so it runs on a bare GPU machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featlab.encoder.spec import MINILM, MODERNBERT_BASE, EncoderSpec, TruncationPolicy

if TYPE_CHECKING:
    from featlab.encoder.encoder import Encoder, load_encoder

__all__ = [
    "MINILM",
    "MODERNBERT_BASE",
    "Encoder",
    "EncoderSpec",
    "TruncationPolicy",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    if name in {"Encoder", "load_encoder"}:
        from featlab.encoder import encoder

        return getattr(encoder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
