"""The three-class head that cannot tell left from right.

Each response is read with its prompt into a vector; from the two vectors::

    margin = w . (h_a - h_b)            changes sign when the sides are exchanged
    tie    = g(|h_a - h_b|, h_a + h_b)  stays

and the logits of (a wins, b wins, tie) are (margin / 2, -margin / 2, tie). So
exchanging the responses exchanges the first two probabilities exactly, without
any training on both orders.
"""

from __future__ import annotations

import torch


class PreferenceHead(torch.nn.Module):
    """Logits of the three outcomes from the vectors of the two responses.

    Parameters
    ----------
    dimension : int
        Length of a vector.
    hidden : int, default 64
        Units of the layer between the vectors and the tie's logit.

    Examples
    --------
    >>> head = PreferenceHead(4)
    >>> a, b = torch.randn(2, 5, 4)
    >>> bool((head(a, b) == head(b, a)[:, [1, 0, 2]]).all())
    True
    """

    def __init__(self, dimension: int, hidden: int = 64) -> None:
        super().__init__()
        self.dimension = dimension
        self.hidden = hidden
        self.norm = torch.nn.LayerNorm(dimension)
        self.margin = torch.nn.Linear(dimension, 1, bias=False)
        self.tie = torch.nn.Sequential(
            torch.nn.Linear(2 * dimension, hidden), torch.nn.GELU(), torch.nn.Linear(hidden, 1)
        )
        # The first prediction is the uniform one: a random one would have to be unlearned.
        torch.nn.init.zeros_(self.margin.weight)
        last = self.tie[-1]
        assert isinstance(last, torch.nn.Linear)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Parameters
        ----------
        a, b : tensors of shape (n, dimension)
            Vectors of the two responses.

        Returns
        -------
        float32 tensor of shape (n, 3), in the order a, b, tie
        """
        # Under autocast the difference of two near vectors would lose its digits.
        with torch.autocast(a.device.type, enabled=False):
            a, b = self.norm(a.float()), self.norm(b.float())
            difference = a - b
            margin = self.margin(difference)[:, 0]
            tie = self.tie(torch.cat([difference.abs(), a + b], dim=1))[:, 0]
            return torch.stack([margin / 2, -margin / 2, tie], dim=1)
