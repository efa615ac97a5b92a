"""How long a fine-tuning will take: measured on this very machine, or calculated for a card."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from featlab.progress import clock
from featlab.signals.outcomes import Outcomes, Rows
from models.preference.encoder_signal import EncoderSignal
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_network import PreferenceNetwork
from models.preference.token_budget_sampler import TokenBudgetSampler
from models.preference.training_battles import BattleCollator, BattleTokens, TrainingBattles
from models.preference.training_job import tokens_at_once, training_device
from models.preference.training_network import load_network

LONGEST = 60.0
"""Seconds of measuring after which what is measured is enough."""

T4_OPERATIONS = 65e12
"""Of 16-bit matrix products a second, by NVIDIA's data sheet of the T4."""

SHARE_REACHED = 0.3
"""Of that, by an assumption: nothing of this project was ever timed on a T4."""


@dataclass(frozen=True)
class TrainingEstimate:
    """The work of one fine-tuning, all epochs, and the pace measured for it on one device.

    Parameters
    ----------
    tokens : int
    tokens_per_second : float
    device : str
    operations : float, default 0
        Multiplications and additions of all of it.

    Examples
    --------
    >>> estimate = TrainingEstimate(tokens=900_000, tokens_per_second=6000.0, device="cpu")
    >>> estimate.seconds, str(estimate)
    (150.0, '900,000 tokens at 6,000 tokens/s on cpu: 2:30')
    """

    tokens: int
    tokens_per_second: float
    device: str
    operations: float = 0.0

    @property
    def seconds(self) -> float:
        """Expected seconds of one fine-tuning."""
        return self.tokens / self.tokens_per_second

    def __str__(self) -> str:
        return (
            f"{self.tokens:,} tokens at {self.tokens_per_second:,.0f} tokens/s on {self.device}: "
            f"{clock(self.seconds)}"
        )


def calculated_for_t4(operations: float) -> str:
    """Say how long operations would take on two T4 cards, which is calculated and not measured.

    Examples
    --------
    >>> calculated_for_t4(7e17)
    'on 2x T4, both busy, about 4:59:09: calculated, not measured (7.0e+17 operations, 39 TFLOP/s)'
    """
    pace = 2 * T4_OPERATIONS * SHARE_REACHED
    return (
        f"on 2x T4, both busy, about {clock(operations / pace)}: calculated, not measured "
        f"({operations:.1e} operations, {pace / 1e12:.0f} TFLOP/s)"
    )


def operations_per_token(network: PreferenceNetwork, settings: FineTuneSettings) -> float:
    """Return multiplications and additions of training on a token, attention's scores aside.

    Two a weight of the linear layers forward, two for the gradients of what went
    in, two for those of the weights where they are trained, and two for computing
    activations again (Kaplan et al., "Scaling Laws for Neural Language Models", 2020).
    """
    layers = (module for module in network.modules() if isinstance(module, torch.nn.Linear))
    weights = sum(layer.in_features * layer.out_features for layer in layers)
    return 2.0 * weights * (2 + (settings.lora_rank == 0) + settings.recompute)


def estimate_fine_tuning(
    signal: EncoderSignal, prepared: BattleTokens, outcomes: Outcomes, rows: Rows, batches: int = 4
) -> TrainingEstimate:
    """Train on a few batches, throw the result away, and extrapolate.

    Parameters
    ----------
    signal, prepared, outcomes, rows
        As for `EncoderSignal.fit`; the signal stays unfitted.
    batches : int, default 4
        Batches to time, after one that is not; fewer where they take minutes.
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
        took = time.perf_counter() - start
        if number or len(sampler) == 1 or took > LONGEST:
            timed += took
            tokens += int(inputs["batch"].lengths.sum())
        if timed > LONGEST:
            break
    whole = int(battles.lengths.sum()) * (settings.epochs + settings.warm_up_epochs)
    return TrainingEstimate(
        tokens=whole,
        tokens_per_second=tokens / timed,
        device=str(device),
        operations=whole * operations_per_token(network, settings),
    )
