"""Fine-tune an encoder on battles: one call, one saved model.

Weights stay in float32 and the arithmetic runs under autocast; the head is
swap-equivariant by construction (`models.preference.preference_head`), so battles are
shown in one order. Several GPUs work through ``accelerate launch`` or
``torchrun``, one process each.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from featlab.battles import PROBABILITIES, TIE_KNOWN, WEIGHT
from featlab.encoder import EncoderSpec
from featlab.encoder.encoder import Encoder
from featlab.files import read_json, value_fingerprint, write_json
from featlab.randomness import derive_seed
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.layerwise_rates import parameter_groups
from models.preference.lora import merge_adapters
from models.preference.preference_losses import outcome_loss
from models.preference.preference_model import (
    DESCRIPTION,
    PreferenceModel,
    sequence_logits,
    write_model,
)
from models.preference.token_budget_trainer import (
    PaceCallback,
    TokenBudgetTrainer,
    default_pace,
    default_tokens_per_batch,
    last_checkpoint,
    process_share,
)
from models.preference.training_battles import (
    BattleCollator,
    TokenBudgetSampler,
    batch_costs,
)
from models.preference.training_run import TrainingRun, prepare_run

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
RUN = "run.json"


def fine_tune(
    battles: pl.DataFrame,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    validation: pl.DataFrame | None,
    seed: int,
    folder: Path,
    *,
    soft_labels: pl.DataFrame | None = None,
    device: str = "auto",
    task: str = "fine-tuning",
    pace: PaceCallback | None = None,
) -> PreferenceModel:
    """Fine-tune an encoder and a swap-equivariant head on battles, and save both.

    A call that was killed goes on from its last checkpoint, and a call that
    was finished returns its model, as long as battles, spec, settings and seed
    are the same; else it starts anew.

    Parameters
    ----------
    battles : DataFrame
        Canonical battles with ``label``. The columns of `featlab.battles.extra`
        count: where ``tie_known`` is false (a source without ties), a battle
        has a two-class loss.
    spec : EncoderSpec
        The encoder to start from; its `max_tokens` and `truncation` decide what
        of each response is read.
    settings : FineTuneSettings
        How to train.
    validation : DataFrame, optional
        Battles to stop early on: part of the training rows, split off by
        prompt. Never the held-out fold: a model chosen by the rows it is scored
        on is scored too well. Without it training runs all its epochs.
    seed : int
        Root seed: of the order of battles, the head's first weights, dropout.
    folder : Path
        Where the model and, while it is trained, its checkpoints go.
    soft_labels : DataFrame, optional
        A teacher's probabilities (`models.preference.soft_labels.read_soft_labels`), for
        some or all battles.
    device : str, default "auto"
        CUDA where it is there, else the CPU.
    task : str
        Names the training in progress reports.
    pace : callable of TrainingPace, optional
        Told every step; by default a bar on a terminal and lines in the log.

    Returns
    -------
    PreferenceModel
        As it was saved, ready for inference.

    Raises
    ------
    BattleError
        When a battle has no label.
    WeightsError
        When the encoder's weights are missing or damaged.
    ConfigError
        When the device cannot do what the settings ask for.

    Examples
    --------
    >>> model = fine_tune(
    ...     battles, MINILM, FineTuneSettings(), None, seed=0, folder=Path("runs/fold-0")
    ... )  # doctest: +SKIP
    >>> model.predict_logits(held_out).shape  # doctest: +SKIP
    (397, 3)
    """
    fingerprint = _fingerprint(battles, spec, settings, validation, seed, soft_labels)
    checkpoints = folder / CHECKPOINTS
    if (folder / DESCRIPTION).is_file():
        if read_json(folder / DESCRIPTION).get("fingerprint") == fingerprint:
            logger.info("%s: already done in %s", task, folder)
            return PreferenceModel.load(folder, device)
        logger.info("%s: %s holds another model, which is replaced", task, folder)
    resumed = _resumable(checkpoints, fingerprint)

    set_seed(derive_seed(seed, "fine-tuning"))
    run = prepare_run(battles, spec, settings, validation, soft_labels, device)
    trainer = _trainer(run, spec, settings, seed, checkpoints, task, pace or default_pace())
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    seconds = time.monotonic() - start

    if trainer.is_world_process_zero():
        network = run.network
        merge_adapters(network.backbone)
        write_model(
            folder,
            network.backbone,
            network.head,
            run.tokenizer,
            {
                "fingerprint": fingerprint,
                "spec": spec.to_dict(),
                "settings": settings.to_dict(),
                "seed": seed,
                "training": _account(trainer, run, seconds),
            },
            settings.saved_dtype,
        )
        shutil.rmtree(checkpoints, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return PreferenceModel.load(folder, device)


class _PreferenceTrainer(TokenBudgetTrainer):
    """Scores the validation battles as they will be scored later: sorted, each sequence once."""

    def __init__(self, *, spec: EncoderSpec, run: TrainingRun, **rest: Any) -> None:
        super().__init__(**rest)
        self.spec = spec
        self.run = run

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log loss on the validation battles."""
        run = self.run
        assert run.validation is not None
        network = run.network
        encoder = Encoder(self.spec, network.backbone, run.tokenizer)
        with torch.autocast(run.device.type, run.dtype, enabled=run.dtype != torch.float32):
            logits = sequence_logits(encoder, network.head, run.validation.a, run.validation.b)
        losses = outcome_loss(
            torch.from_numpy(logits),
            torch.from_numpy(run.validation.labels),
            torch.from_numpy(run.validation.tie_known),
        )
        metrics = {"eval_loss": float(losses.mean())}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def _trainer(
    run: TrainingRun,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    seed: int,
    checkpoints: Path,
    task: str,
    pace: PaceCallback,
) -> _PreferenceTrainer:
    backbone = run.network.backbone
    rank, world = process_share()
    per_step = max(1, settings.tokens_per_step // world)
    per_batch = min(settings.tokens_per_batch or default_tokens_per_batch(run.device), per_step)
    sampler = TokenBudgetSampler(
        batch_costs(run.battles.lengths, packed=backbone.packed),
        per_batch,
        sort=not backbone.packed,
        seed=seed,
        rank=rank,
        world=world,
    )
    accumulated = max(1, round(per_step / per_batch))
    steps_per_epoch = math.ceil(len(sampler) / accumulated)
    evaluations: dict[str, Any] = {}
    callbacks = []
    if run.validation is not None:
        every = max(1, steps_per_epoch // settings.evaluations_per_epoch)
        evaluations = {
            "eval_strategy": "steps",
            "save_strategy": "steps",
            "eval_steps": every,
            "save_steps": every,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
        }
        callbacks.append(EarlyStoppingCallback(settings.patience))
    arguments = TrainingArguments(
        **{
            "output_dir": str(checkpoints),
            "num_train_epochs": settings.epochs,
            "gradient_accumulation_steps": accumulated,
            "max_grad_norm": settings.max_gradient_norm,
            "lr_scheduler_type": "cosine",
            "warmup_steps": math.ceil(settings.warmup_share * steps_per_epoch * settings.epochs),
            "seed": derive_seed(seed, "trainer"),
            "logging_strategy": "steps",
            "logging_steps": 5,
            "logging_first_step": True,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
            "save_total_limit": 2,
            "remove_unused_columns": False,
            "ddp_find_unused_parameters": False,
            **run.arguments,
            **evaluations,
        }
    )
    return _PreferenceTrainer(
        spec=spec,
        run=run,
        model=run.network,
        args=arguments,
        train_dataset=run.battles,
        eval_dataset=run.validation,
        data_collator=BattleCollator(run.battles, backbone),
        callbacks=callbacks,
        sampler=sampler,
        pace=pace,
        task=task,
        tokens=lambda inputs: int(inputs["batch"].lengths.sum()),
        groups=parameter_groups(run.network, settings),
        checkpoint_minutes=settings.checkpoint_minutes,
    )


def _account(trainer: _PreferenceTrainer, run: TrainingRun, seconds: float) -> dict[str, Any]:
    state = trainer.state
    logged = [entry["loss"] for entry in state.log_history if "loss" in entry]
    scored = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
    return {
        "battles": len(run.battles),
        "without_ties": int((~run.battles.tie_known).sum()),
        "steps": state.global_step,
        "losses": logged,
        "validation_losses": scored,
        "tokens": trainer.tokens_seen,
        "seconds": round(seconds, 2),
        "tokens_per_second": round(trainer.tokens_seen / max(seconds, 1e-9), 1),
        "device": str(run.device),
        "dtype": str(run.dtype).removeprefix("torch."),
        "attention": run.network.backbone.attention,
    }


def _fingerprint(
    battles: pl.DataFrame,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    validation: pl.DataFrame | None,
    seed: int,
    soft_labels: pl.DataFrame | None,
) -> str:
    return value_fingerprint(
        {
            "battles": _content(battles),
            "spec": spec.id,
            # How often it is saved changes nothing about what is trained.
            "settings": {**settings.to_dict(), "checkpoint_minutes": None},
            "validation": None if validation is None else _content(validation),
            "seed": seed,
            "soft_labels": None if soft_labels is None else _content(soft_labels),
        }
    )


def _content(frame: pl.DataFrame) -> str:
    names = ["id", "prompt", "response_a", "response_b", "label", "model_a", "model_b"]
    present = [
        name for name in (*names, TIE_KNOWN, WEIGHT, *PROBABILITIES) if name in frame.columns
    ]
    flat = frame.select(
        pl.col(name).list.join("\x1f") if frame.schema[name] == pl.List(pl.String) else name
        for name in present
    )
    return hashlib.sha256(flat.write_csv().encode()).hexdigest()


def _resumable(checkpoints: Path, fingerprint: str) -> Path | None:
    note = checkpoints / RUN
    if note.is_file() and read_json(note).get("fingerprint") == fingerprint:
        found = last_checkpoint(checkpoints)
        if found is not None:
            logger.info("going on from %s", found)
        return found
    if process_share()[0] == 0:
        shutil.rmtree(checkpoints, ignore_errors=True)
        write_json(note, {"fingerprint": fingerprint})
    return None
