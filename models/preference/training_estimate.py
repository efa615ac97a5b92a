"""How long a fine-tuning will take, measured on this very machine before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from featlab.progress import clock
from featlab.signals.outcomes import Outcomes, Rows
from models.preference.encoder_signal import EncoderSignal
from models.preference.token_budget_sampler import TokenBudgetSampler
from models.preference.training_battles import BattleCollator, BattleTokens, TrainingBattles
from models.preference.training_job import tokens_at_once, training_device
from models.preference.training_network import load_network


@dataclass(frozen=True)
class TrainingEstimate:
    """The work of one fine-tuning, all epochs, and the pace measured for it on one device.

    Examples
    --------
    >>> estimate = TrainingEstimate(tokens=900_000, tokens_per_second=6000.0, device="cpu")
    >>> estimate.seconds, str(estimate)
    (150.0, '900,000 tokens at 6,000 tokens/s on cpu: 2:30')
    """

    tokens: int
    tokens_per_second: float
    device: str

    @property
    def seconds(self) -> float:
        """Expected seconds of one fine-tuning."""
        return self.tokens / self.tokens_per_second

    def __str__(self) -> str:
        return (
            f"{self.tokens:,} tokens at {self.tokens_per_second:,.0f} tokens/s on {self.device}: "
            f"{clock(self.seconds)}"
        )


def estimate_fine_tuning(
    signal: EncoderSignal, prepared: BattleTokens, outcomes: Outcomes, rows: Rows, batches: int = 4
) -> TrainingEstimate:
    """Train on a few batches, throw the result away, and extrapolate.

    Parameters
    ----------
    signal, prepared, outcomes, rows
        As for `EncoderSignal.fit`; the signal stays unfitted.
    batches : int, default 4
        Batches to time, after one that is not.
    """
    settings = signal.settings
    battles = TrainingBattles.of(prepared, outcomes, rows)
    device, dtype = training_device(settings, signal.device)
    network, _ = load_network(signal.spec, settings, device, dtype, battles.model_count)
    per_batch, _ = tokens_at_once(settings, device)
    packed = network.backbone.packed
    sampler = TokenBudgetSampler(battles.costs(packed=packed), per_batch, sort=not packed, seed=0)
    collate = BattleCollator(battles, network.backbone)
    network.train()
    timed, tokens = 0.0, 0
    for number, batch in enumerate(sampler.plan()[: batches + 1]):
        inputs = {name: value.to(device) for name, value in collate(batch).items()}
        start = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = network(**inputs)["loss"]
        loss.backward()
        network.zero_grad()
        # Reading the loss waits for the device.
        loss.item()
        if number or len(sampler) == 1:
            timed += time.perf_counter() - start
            tokens += int(inputs["batch"].lengths.sum())
    return TrainingEstimate(
        tokens=int(battles.lengths.sum()) * (settings.epochs + settings.warm_up_epochs),
        tokens_per_second=tokens / timed,
        device=str(device),
    )
