"""transformers' Trainer with batches of a token budget, and a pace that can be watched.

The Trainer brings mixed precision, accumulation, checkpoints and several
devices through accelerate; what it lacks are batches of equal work, in which
each process has its own share.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from featlab.encoder.device import inference_dtype
from featlab.encoder.encoder import GIBIBYTE
from featlab.errors import ConfigError
from featlab.progress import clock

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 15.0
STATE = "trainer_state.json"
CPU_TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class TrainingPace:
    """Where a training stands.

    Parameters
    ----------
    task : str
        What is being trained.
    step, steps : int
        Steps of the optimiser, done and in all.
    loss : float
        Mean loss since the last report; NaN before the first step.
    tokens_per_second : float
        Since the training began, on this process, evaluation included.
    seconds : float
        Since the training began.

    Examples
    --------
    >>> str(TrainingPace("fold 0", 50, 200, loss=1.0712, tokens_per_second=6100.0, seconds=60.0))
    'fold 0: step 50 of 200 (25%), loss 1.071, 6,100 tokens/s, 3:00 left'
    """

    task: str
    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds: float

    def __str__(self) -> str:
        share = self.step / max(self.steps, 1)
        left = clock(self.seconds * (1 - share) / share) if share else "?"
        return (
            f"{self.task}: step {self.step} of {self.steps} ({share:.0%}), loss {self.loss:.3f}, "
            f"{self.tokens_per_second:,.0f} tokens/s, {left} left"
        )


PaceCallback = Callable[[TrainingPace], None]


class LoggedPace:
    """Logs a line, at level INFO, every so often and at the end.

    Parameters
    ----------
    interval : float, default 15
        Seconds between two lines.
    """

    def __init__(self, interval: float = SECONDS_BETWEEN_LINES) -> None:
        self.interval = interval
        self._last = time.monotonic()

    def __call__(self, pace: TrainingPace) -> None:
        """Log `pace` if it is time."""
        now = time.monotonic()
        if pace.step == pace.steps or now - self._last >= self.interval:
            self._last = now
            logger.info("%s", pace)


class PaceBar:
    """Draws one bar with the loss and the tokens a second, on a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, pace: TrainingPace) -> None:
        """Move the bar to where `pace` says."""
        if self._bar is None:
            tqdm = import_module("tqdm.auto").tqdm
            self._bar = tqdm(total=pace.steps, desc=pace.task, unit="step", file=sys.stderr)
        self._bar.set_postfix_str(f"loss {pace.loss:.3f}, {pace.tokens_per_second:,.0f} tokens/s")
        self._bar.update(pace.step - self._bar.n)
        if pace.step == pace.steps:
            self._bar.close()


def default_pace() -> PaceCallback:
    """A bar on a terminal, lines in the log elsewhere."""
    return PaceBar() if sys.stderr.isatty() else LoggedPace()


class TokenBudgetTrainer(Trainer):
    """A Trainer whose batches come from a sampler of its own.

    Parameters
    ----------
    sampler : TokenBudgetSampler
        Draws this process's batches; told every epoch.
    pace : callable of TrainingPace
        Told every step.
    task : str
        What is being trained, for `pace`.
    tokens : callable of (inputs) -> int
        Tokens of a batch.
    groups : list of dict
        The optimiser's parameter groups.
    checkpoint_minutes : float
        A checkpoint is written about this often; 0 writes none by the clock.
    **rest
        As for `transformers.Trainer`.
    """

    def __init__(
        self,
        *,
        sampler: Any,
        pace: PaceCallback,
        task: str,
        tokens: Callable[[dict[str, Any]], int],
        groups: list[dict[str, Any]],
        checkpoint_minutes: float,
        args: TrainingArguments,
        **rest: Any,
    ) -> None:
        # Without a launcher the Trainer would cut a batch in pieces for several cards, and a
        # packed row cannot be cut.
        args._n_gpu = min(args.n_gpu, 1)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
        super().__init__(args=args, optimizers=(optimizer, None), **rest)
        self.sampler = sampler
        self.tokens = tokens
        self.tokens_seen = 0
        self.remove_callback(PrinterCallback)
        self.add_callback(_EpochTold(sampler))
        self.add_callback(_Paced(self, pace, task))
        if checkpoint_minutes > 0:
            self.add_callback(_TimedCheckpoint(60 * checkpoint_minutes))

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """Batches of this process; the sampler already knows its share."""
        dataset = self.train_dataset
        assert dataset is not None
        return torch.utils.data.DataLoader(
            dataset, batch_sampler=self.sampler, collate_fn=self.data_collator
        )

    def training_step(self, model: torch.nn.Module, inputs: Any, *rest: Any) -> torch.Tensor:
        """One batch forward and backward, its tokens counted."""
        self.tokens_seen += self.tokens(inputs)
        return super().training_step(model, inputs, *rest)


class _EpochTold(TrainerCallback):
    """Tells the sampler which epoch it is, on resuming too."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.sampler.set_epoch(int(round(state.epoch or 0.0, 6)))


class _Paced(TrainerCallback):
    """Reports loss and tokens a second."""

    def __init__(self, trainer: TokenBudgetTrainer, pace: PaceCallback, task: str) -> None:
        self.trainer = trainer
        self.pace = pace
        self.task = task
        self.loss = float("nan")
        self.start = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.start = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs and "loss" in logs:
            self.loss = logs["loss"]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            seconds = time.monotonic() - self.start
            self.pace(
                TrainingPace(
                    task=self.task,
                    step=state.global_step,
                    steps=state.max_steps,
                    loss=self.loss,
                    tokens_per_second=self.trainer.tokens_seen / max(seconds, 1e-9),
                    seconds=seconds,
                )
            )


class _TimedCheckpoint(TrainerCallback):
    """Asks for a checkpoint by the clock: a step takes a second here and minutes there."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if time.monotonic() - self.last >= self.seconds and state.global_step < state.max_steps:
            self.last = time.monotonic()
            control.should_save = True


def default_tokens_per_batch(device: torch.device) -> int:
    """Tokens that go through a device at once in training, by its memory.

    Examples
    --------
    >>> default_tokens_per_batch(torch.device("cpu"))
    4096
    """
    if device.type != "cuda":
        return CPU_TOKENS_PER_BATCH
    memory = torch.cuda.get_device_properties(device).total_memory / GIBIBYTE
    return max(CPU_TOKENS_PER_BATCH, 512 * int(memory))


def process_share() -> tuple[int, int]:
    """Number of this process and how many there are, as a launcher says; (0, 1) without one."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a folder; one cut short lacks its state, written last."""
    whole = [
        path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit() and (path / STATE).is_file()
    ]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def precision_arguments(precision: str, device: torch.device) -> tuple[torch.dtype, dict[str, Any]]:
    """The format to compute in, and what the Trainer has to be told for it.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
    device : torch.device

    Raises
    ------
    ConfigError
        When the device cannot train in that format.
    """
    dtype = inference_dtype(precision, device)  # type: ignore[arg-type]
    if dtype == torch.float16 and device.type != "cuda":
        raise ConfigError(
            "fine-tuning: precision 'float16' needs a CUDA card; use auto, bfloat16 or float32"
        )
    return dtype, {
        "bf16": dtype == torch.bfloat16,
        "fp16": dtype == torch.float16,
        "use_cpu": device.type == "cpu",
    }
