"""One vector a sequence, from its own tokens and no one else's.

Pooling goes by the batch's boundaries or lengths: taking position 0 of a packed
row, or the mean over it, would silently mix the sequences.
"""

from __future__ import annotations

import torch

from featlab.encoder.pack import Batch, PackedBatch
from featlab.encoder.spec import Pooling


def pool(hidden: torch.Tensor, batch: Batch, pooling: Pooling) -> torch.Tensor:
    """Pool the hidden states of a batch.

    Parameters
    ----------
    hidden : tensor of shape (rows, columns, dimension)
        ``(1, tokens, dimension)`` for a packed batch, ``(n, longest,
        dimension)`` for a padded one.
    batch : PackedBatch or PaddedBatch
        The batch they belong to.
    pooling : {"mean", "cls"}
        The mean over a sequence's tokens, or its first token.

    Returns
    -------
    float32 tensor of shape (n, dimension)
        Summed in float32 whatever the format of `hidden`. A sequence without
        tokens has the vector 0.

    Examples
    --------
    >>> from featlab.encoder.pack import pack
    >>> hidden = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> pool(hidden, pack([[5, 6], [7]]), "mean").tolist()
    [[2.0], [8.0]]
    >>> pool(hidden, pack([[5, 6], [7]]), "cls").tolist()
    [[1.0], [8.0]]
    """
    # Under autocast the padded sum would be rounded to 16 bits like any matrix product.
    with torch.autocast(hidden.device.type, enabled=False):
        return _pool(hidden, batch, pooling)


def _pool(hidden: torch.Tensor, batch: Batch, pooling: Pooling) -> torch.Tensor:
    if isinstance(batch, PackedBatch):
        if pooling == "cls":
            return hidden[0, batch.boundaries[:-1].long()].float()
        means: torch.Tensor = torch.segment_reduce(
            hidden[0].float(), "mean", lengths=batch.lengths, axis=0, unsafe=True, initial=0
        )
        return means
    if pooling == "cls":
        return hidden[:, 0].float()
    weights = batch.attention_mask / batch.lengths.clamp(min=1)[:, None]
    return torch.einsum("nld,nl->nd", hidden.float(), weights.float())
