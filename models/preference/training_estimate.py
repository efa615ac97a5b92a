"""How long a fine-tuning will take, from a measured warm-up on this very machine.

A session on a hosted machine ends after some hours; better to know at the start
than to lose the run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import polars as pl
import torch

from featlab.encoder import EncoderSpec
from featlab.progress import clock
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.token_budget_trainer import default_tokens_per_batch
from models.preference.training_battles import BattleCollator, TokenBudgetSampler, batch_costs
from models.preference.training_run import prepare_run


@dataclass(frozen=True)
class TrainingEstimate:
    """The work of one fine-tuning and the pace measured for it.

    Parameters
    ----------
    tokens : int
        Tokens of all epochs.
    tokens_per_second : float
        Forward and backward, on one device.
    device : str
        What was measured.

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
    battles: pl.DataFrame,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    *,
    device: str = "auto",
    batches: int = 4,
) -> TrainingEstimate:
    """Train on a few batches, throw the result away, and extrapolate.

    Parameters
    ----------
    battles : DataFrame
        As for `models.preference.fine_tuning.fine_tune`.
    spec : EncoderSpec
    settings : FineTuneSettings
    device : str, default "auto"
    batches : int, default 4
        Batches to time, after one that is not.

    Raises
    ------
    BattleError, WeightsError, ConfigError
        As `models.preference.fine_tuning.fine_tune` does.
    """
    run = prepare_run(battles, spec, settings, None, None, device)
    backbone = run.network.backbone
    costs = batch_costs(run.battles.lengths, packed=backbone.packed)
    budget = settings.tokens_per_batch or default_tokens_per_batch(run.device)
    sampler = TokenBudgetSampler(
        costs, min(budget, settings.tokens_per_step), sort=not backbone.packed, seed=0
    )
    collate = BattleCollator(run.battles, backbone)
    run.network.train()
    timed = 0.0
    tokens = 0
    for number, rows in enumerate(sampler.plan()[: batches + 1]):
        inputs = collate(rows)
        start = time.perf_counter()
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            loss = run.network(**inputs)["loss"]
        loss.backward()
        run.network.zero_grad()
        # Reading the loss waits for the device.
        loss.item()
        if number or len(sampler) == 1:
            timed += time.perf_counter() - start
            tokens += int(inputs["batch"].lengths.sum())
    return TrainingEstimate(
        tokens=int(run.battles.lengths.sum()) * settings.epochs,
        tokens_per_second=tokens / timed,
        device=str(run.device),
    )
