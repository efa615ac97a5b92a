"""The losses of a preference model, one value a battle.

All take logits, of the outcomes in the order a, b, tie or of the models, and the
targets of `models.preference.preference_network.PreferenceNetwork.forward`.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax


def outcome_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    tie_known: torch.Tensor,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the cross-entropy with the outcome; of two classes where ties were sampled away.

    Battles from a source without ties say nothing about how likely a tie is.
    Their loss is that of "a or b, given that it is no tie", which leaves the
    tie's logit alone.

    Examples
    --------
    >>> logits = torch.tensor([[1.0, -1.0, 9.0]])
    >>> outcome_loss(logits, torch.tensor([0]), torch.tensor([False])).round(decimals=4).item()
    0.1269...
    """
    three = cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    decisive = cross_entropy(
        logits[:, :2], labels.clamp(max=1), reduction="none", label_smoothing=label_smoothing
    )
    return torch.where(tie_known, three, decisive)


def distillation_loss(
    logits: torch.Tensor, soft_labels: torch.Tensor, tie_known: torch.Tensor
) -> torch.Tensor:
    """Return the divergence of the prediction from a teacher's probabilities.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    Shares of votes without ties, from a source that has none, are of two classes,
    as in `outcome_loss`.

    Examples
    --------
    >>> soft, known = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([True])
    >>> distillation_loss(soft.log(), soft, known).abs().item() < 1e-6
    True
    """
    hidden = ~tie_known & (soft_labels[:, 2] == 0)
    two = _divergence(logits[:, :2], soft_labels[:, :2])
    return torch.where(hidden, two, _divergence(logits, soft_labels))


def _divergence(logits: torch.Tensor, soft_labels: torch.Tensor) -> torch.Tensor:
    # As logits, since a teacher's zeros have none.
    teacher = log_softmax(soft_labels.clamp(min=1e-7).log(), dim=1)
    student = log_softmax(logits, dim=1)
    return kl_div(student, teacher, reduction="none", log_target=True).sum(1)


def identity_loss(logits: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy with the model that wrote a response; 0 where it is unknown (-1)."""
    return cross_entropy(logits, names, reduction="none", ignore_index=-1)
