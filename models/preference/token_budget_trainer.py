"""transformers' Trainer with batches of a token budget, resumed where it was killed.

The Trainer brings mixed precision, accumulation, checkpoints and several
devices through accelerate; what it lacks are batches of equal work, in which
each process has its own share.
"""

from __future__ import annotations

import logging
import math
import shutil
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from featlab.files import read_json, write_json
from featlab.memory import return_freed_memory
from featlab.progress import NotedProgress, Progress
from featlab.randomness import derive_seed
from models.preference.token_budget_sampler import TokenBudgetSampler
from models.preference.training_job import TrainingJob, process_share, tokens_at_once

logger = logging.getLogger(__name__)


class TokenBudgetTrainer(Trainer):
    """A Trainer whose batches come from a sampler of its own.

    Parameters
    ----------
    model : Module
    groups : list of dict
        The optimiser's parameter groups.
    costs : int array of shape (n,)
        What each row takes of a batch's budget.
    collate : callable
        From row numbers to the model's inputs.
    job : TrainingJob
    sort : bool
        Whether rows of like length should share a batch.
    epochs : int
    """

    def __init__(
        self,
        model: torch.nn.Module,
        groups: list[dict[str, Any]],
        costs: npt.NDArray[np.integer],
        collate: Callable[..., dict[str, Any]],
        job: TrainingJob,
        *,
        sort: bool,
        epochs: int,
    ) -> None:
        self.job = job
        settings, seed = job.settings, job.seed
        rank, world = process_share()
        per_batch, per_step = tokens_at_once(settings, job.device, world)
        self.sampler = TokenBudgetSampler(
            costs, per_batch, sort=sort, seed=seed, rank=rank, world=world
        )
        accumulated = max(1, round(per_step / per_batch))
        steps = math.ceil(len(self.sampler) / accumulated) * epochs
        arguments = TrainingArguments(
            output_dir=str(job.folder / "checkpoints"),
            num_train_epochs=epochs,
            gradient_accumulation_steps=accumulated,
            lr_scheduler_type="cosine",
            warmup_steps=math.ceil(settings.warmup_share * steps),
            seed=derive_seed(seed, "trainer"),
            bf16=job.dtype == torch.bfloat16,
            fp16=job.dtype == torch.float16,
            use_cpu=job.device.type == "cpu",
            logging_steps=5,
            logging_first_step=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            save_total_limit=2,
            remove_unused_columns=False,
            ddp_find_unused_parameters=False,
        )
        # Without a launcher the Trainer would cut a batch in pieces for several cards, and a
        # packed row cannot be cut.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        rows: Any = range(len(costs))
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)
        super().__init__(model, arguments, collate, rows, optimizers=(optimizer, None))
        self.tokens_seen = 0
        self.seconds = 0.0
        self.remove_callback(PrinterCallback)
        self.add_callback(_Watch(self))

    def run(self) -> None:
        """Train, from the last checkpoint where there is one of the same job."""
        folder = Path(str(self.args.output_dir))
        note = folder / "job.json"
        resumed = None
        if note.is_file() and read_json(note) == self.job.fingerprint:
            resumed = last_checkpoint(folder)
            if resumed is not None:
                logger.info("going on from %s", resumed)
        elif self.is_world_process_zero():
            shutil.rmtree(folder, ignore_errors=True)
            write_json(note, self.job.fingerprint)
        start = time.monotonic()
        self.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        self.seconds = time.monotonic() - start

    def account(self) -> dict[str, Any]:
        """Return how the training went: steps, losses, tokens a second."""
        return {
            "steps": self.state.global_step,
            "losses": [entry["loss"] for entry in self.state.log_history if "loss" in entry],
            "tokens": self.tokens_seen,
            "seconds": round(self.seconds, 2),
            "tokens_per_second": round(self.tokens_seen / max(self.seconds, 1e-9), 1),
        }

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return batches of this process; the sampler already knows its share."""
        rows: Any = self.train_dataset
        return DataLoader(rows, batch_sampler=self.sampler, collate_fn=self.data_collator)

    def training_step(self, model: torch.nn.Module, inputs: Any, *rest: Any) -> torch.Tensor:
        """Pass one batch forward and backward, and count its tokens."""
        mask = inputs.get("attention_mask")
        self.tokens_seen += int(inputs["batch"].lengths.sum() if mask is None else mask.sum())
        return super().training_step(model, inputs, *rest)


class _Watch(TrainerCallback):
    """Tells the sampler its epoch, gives memory back, reports progress, saves by the clock.

    A step takes a second here and minutes there, so checkpoints count seconds.
    """

    def __init__(self, trainer: TokenBudgetTrainer) -> None:
        self.trainer = trainer
        self.told = trainer.job.on_progress or (_Bar() if sys.stderr.isatty() else NotedProgress())
        self.loss = float("nan")
        self.start = self.saved = time.monotonic()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.sampler.set_epoch(int(round(state.epoch or 0.0, 6)))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.loss = (logs or {}).get("loss", self.loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.use_cpu:
            # Tensors of a new shape every time leave gaps, of gigabytes after a hundred steps.
            return_freed_memory()
        now = time.monotonic()
        done, total = state.global_step, state.max_steps
        if state.is_world_process_zero:
            seconds = now - self.start
            speed = self.trainer.tokens_seen / max(seconds, 1e-9)
            task = f"{self.trainer.job.task}, loss {self.loss:.3f}, {speed:,.0f} tokens/s"
            self.told(Progress(task, done, total, done / total, seconds))
        between = 60 * self.trainer.job.settings.checkpoint_minutes
        if 0 < between <= now - self.saved and done < total:
            self.saved = now
            control.should_save = True


class _Bar:
    """Draws one bar on a terminal."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __call__(self, progress: Progress) -> None:
        if self.bar is None:
            self.bar = import_module("tqdm.auto").tqdm(total=progress.total, unit="step")
        self.bar.set_description(progress.task)
        self.bar.update(progress.done - self.bar.n)
        if progress.done == progress.total:
            self.bar.close()


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a folder; one cut short lacks its state."""
    whole = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdigit() and (path / TRAINER_STATE_NAME).is_file()
    }
    return whole[max(whole)] if whole else None
