"""Encoder, head and losses as the one module that is trained."""

from __future__ import annotations

import torch

from featlab.encoder.backbone import Backbone
from featlab.encoder.pack import Batch
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_head import PreferenceHead
from models.preference.preference_losses import distillation_loss, identity_loss, outcome_loss


class PreferenceNetwork(torch.nn.Module):
    """Reads both responses of each battle, predicts the outcome and weighs its errors.

    Parameters
    ----------
    backbone : Backbone
        The encoder, its weights in float32.
    head : PreferenceHead
        Vectors to logits.
    settings : FineTuneSettings
        For the losses and their weights.
    models : int, default 0
        How many models the identity loss tells apart.
    """

    # Tells the Trainer that the loss is divided by the battles of the whole step.
    accepts_loss_kwargs = True

    def __init__(
        self,
        backbone: Backbone,
        head: PreferenceHead,
        settings: FineTuneSettings,
        models: int = 0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.settings = settings
        wanted = settings.identity_weight > 0 and models > 0
        self.identity = torch.nn.Linear(backbone.dimension, models) if wanted else None

    def forward(
        self,
        batch: Batch,
        labels: torch.Tensor,
        tie_known: torch.Tensor,
        weights: torch.Tensor,
        soft_labels: torch.Tensor,
        models: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute the ``loss`` of n battles.

        Parameters
        ----------
        batch : Batch
            2 n sequences: the n battles' a sides, then their b sides.
        labels : int64 tensor of shape (n,)
            0 a, 1 b, 2 tie.
        tie_known : bool tensor of shape (n,)
            False where the battle's source holds no ties.
        weights : float32 tensor of shape (n,)
            How many battles each counts for.
        soft_labels : float32 tensor of shape (n, 3)
            A teacher's probabilities; a row of NaN where there are none.
        models : int64 tensor of shape (n, 2)
            Which model wrote a's response and which b's; -1 where it is unknown.
        num_items_in_batch : int, optional
            Battles behind the whole optimiser step; the loss is divided by it,
            so that batches of a step weigh by their battles.
        """
        settings = self.settings
        vectors = self.backbone(batch.to(labels.device))
        logits = self.head(*vectors.chunk(2))
        losses = outcome_loss(logits, labels, tie_known, settings.label_smoothing)
        has_soft = ~soft_labels.isnan().any(1)
        if bool(has_soft.any()):
            share = settings.distillation_weight
            soft = distillation_loss(logits, soft_labels.nan_to_num(1 / 3), tie_known)
            losses = torch.where(has_soft, (1 - share) * losses + share * soft, losses)
        if self.identity is not None:
            with torch.autocast(vectors.device.type, enabled=False):
                guesses = self.identity(vectors.float())
            named = identity_loss(guesses, models.T.flatten()).view(2, -1).mean(0)
            losses = losses + settings.identity_weight * named
        battles = len(losses) if num_items_in_batch is None else num_items_in_batch
        return {"loss": (losses * weights).sum() / battles}
