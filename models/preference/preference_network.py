"""Encoder, head and losses as the one module that is trained."""

from __future__ import annotations

from typing import Any

import torch

from featlab.encoder.backbone import Backbone
from featlab.encoder.pack import Batch
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_head import PreferenceHead
from models.preference.preference_losses import distillation_loss, identity_loss, outcome_loss
from models.preference.training_battles import BattleTargets


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
        targets: BattleTargets | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute logits, and the loss where there are targets.

        Parameters
        ----------
        batch : Batch
            2 n sequences: the n battles' a sides, then their b sides.
        targets : BattleTargets, optional
            Without them only logits are computed.
        labels : tensor, optional
            `targets.labels` once more, by which the Trainer counts battles.
        num_items_in_batch : int, optional
            Battles behind the whole optimiser step; the loss is divided by it,
            so that batches of a step weigh by their battles.

        Returns
        -------
        dict with ``logits`` of shape (n, 3) and, with targets, ``loss``.
        """
        device = next(self.parameters()).device
        vectors = self.backbone(batch.to(device))
        a, b = vectors.chunk(2)
        found = {"logits": self.head(a, b)}
        if targets is not None:
            losses = self._losses(found["logits"], vectors, targets.to(device))
            battles = len(losses) if num_items_in_batch is None else num_items_in_batch
            found["loss"] = losses.sum() / battles
        return found

    def _losses(
        self, logits: torch.Tensor, vectors: torch.Tensor, targets: BattleTargets
    ) -> torch.Tensor:
        settings = self.settings
        losses = outcome_loss(logits, targets.labels, targets.tie_known, settings.label_smoothing)
        has_soft = ~targets.soft_labels.isnan().any(1)
        if bool(has_soft.any()):
            share = settings.distillation_weight
            soft = distillation_loss(
                logits, targets.soft_labels.nan_to_num(1 / 3), settings.distillation_temperature
            )
            losses = torch.where(has_soft, (1 - share) * losses + share * soft, losses)
        if self.identity is not None:
            with torch.autocast(vectors.device.type, enabled=False):
                guesses = self.identity(vectors.float())
            named = identity_loss(guesses, targets.models.T.flatten()).view(2, -1).mean(0)
            losses = losses + settings.identity_weight * named
        return losses * targets.weights


def set_dropout(model: torch.nn.Module, share: float) -> None:
    """Set every dropout of a transformers model, attention's included.

    Examples
    --------
    >>> layer = torch.nn.Sequential(torch.nn.Dropout(0.1))
    >>> set_dropout(layer, 0.0)
    >>> layer[0].p
    0.0
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        # Some attentions hold their share as a number.
        attention: Any = module
        if isinstance(getattr(attention, "attention_dropout", None), float | int):
            attention.attention_dropout = share
