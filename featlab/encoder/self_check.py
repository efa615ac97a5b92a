"""Whether a way of attention computes what the model means, tried on the model itself.

A padded pass is transformers' own; a packed one must give the same vectors. In a
decoder, besides, no token may be moved by a later one, which a cosine hardly
shows where all vectors lie near each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from featlab.encoder.attention import PADDED

if TYPE_CHECKING:
    from featlab.encoder.backbone import Backbone

AGREEMENT = 0.99
"""Least cosine between a packed and a padded vector that counts as the same, in any format."""

FORESIGHT = 1e-3
"""How far, relatively, a decoder's token may be moved by a later one: rounding is all there is."""


def disagreement(
    backbone: Backbone, attention: str, dtype: torch.dtype, longest: int
) -> str | None:
    """Return what is wrong with a way of attention; ``None`` where nothing is.

    Parameters
    ----------
    backbone : Backbone
    attention : str
        As for `featlab.encoder.backbone.Backbone.use_attention`.
    dtype : torch.dtype
        Format to compute attention in.
    longest : int
        Tokens that a sequence will have at most; those that are tried are
        shorter and longer than the model's window, as far as that goes.
    """
    if attention == PADDED:
        return None
    parameter = next(backbone.parameters())
    window = int(getattr(backbone.config, "sliding_window", None) or 0)
    longest = min(2 * window + 9, longest, backbone.positions or 512)
    tokens = np.arange(longest) % (min(int(backbone.config.vocab_size), 997) - 1)
    tokens += tokens >= backbone.padding
    sequences = [tokens[:length] for length in (1, min(7, longest), longest)]
    # Other tokens at the end of each: in a decoder no token before may know of it.
    others = [np.append(sequence[:-1], tokens[min(3, longest - 1)]) for sequence in sequences]
    was_training, before = backbone.training, backbone.attention
    backbone.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(parameter.device.type, dtype=dtype, enabled=dtype != parameter.dtype),
        ):
            found = []
            for way in (PADDED, attention):
                backbone.use_attention(way)
                found.append(backbone(backbone.batch(sequences).to(parameter.device)))
            seen, unseen = (
                backbone.hidden(backbone.batch(read).to(parameter.device))[0].float()
                for read in (sequences, others)
            )
    except Exception as error:
        # A kernel may fail in any way; the caller falls back or says why it cannot.
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    finally:
        backbone.use_attention(before)
        backbone.train(was_training)
    cosine = float(torch.nn.functional.cosine_similarity(*found).min())
    if not cosine > AGREEMENT:
        return f"it disagrees with padded attention (cosine {cosine:.4f})"
    ends = np.cumsum([len(sequence) for sequence in sequences]) - 1
    moved = (seen - unseen).abs().amax(1) / seen.abs().amax(1)
    moved[torch.from_numpy(ends)] = 0.0
    if backbone.causal and not float(moved.max()) < FORESIGHT:
        return "it lets tokens of a decoder see later ones"
    return None
