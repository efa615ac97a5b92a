"""Masked-language-model warm-up: an encoder reads on in the battles' own text.

No label is read, so one warm-up serves all folds, and its result is an ordinary
model folder: give its spec to `models.preference.fine_tuning.fine_tune`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import AutoModelForMaskedLM, TrainingArguments, set_seed

from featlab.encoder import EncoderSpec
from featlab.encoder.backbone import quiet_transformers
from featlab.encoder.device import pick_device
from featlab.encoder.pack import pad
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import BattleError, ConfigError
from featlab.files import read_json, value_fingerprint, write_json
from featlab.randomness import derive_seed
from models.preference.fine_tune_settings import Precision
from models.preference.preference_network import set_dropout
from models.preference.token_budget_trainer import (
    PaceCallback,
    TokenBudgetTrainer,
    default_pace,
    default_tokens_per_batch,
    precision_arguments,
    process_share,
)
from models.preference.training_battles import TokenBudgetSampler

logger = logging.getLogger(__name__)

RECORD = "warm_up.json"
UNSCORED = -100


@dataclass(frozen=True)
class MaskedWarmUpSettings:
    """How an encoder is warmed up.

    Parameters
    ----------
    epochs : int, default 1
        Passes over the text.
    masked_share : float, default 0.3
        Share of the tokens that are hidden (Wettig et al., "Should You Mask 15%
        in Masked Language Modeling?", 2023); of those 80 % become the mask
        token, 10 % a random one, and 10 % stay.
    learning_rate : float, default 5e-5
    warmup_share : float, default 0.1
    weight_decay : float, default 1e-5
    tokens_per_step : int, default 16384
    tokens_per_batch : int, optional
        ``None`` takes what suits the device.
    precision : {"auto", "float32", "bfloat16", "float16"}

    Raises
    ------
    ConfigError
        When a value is out of range.
    """

    epochs: int = 1
    masked_share: float = 0.3
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    weight_decay: float = 1e-5
    tokens_per_step: int = 16_384
    tokens_per_batch: int | None = None
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.masked_share < 1:
            raise ConfigError(
                f"warm-up: masked_share is {self.masked_share}, but must lie in (0, 1)"
            )
        if self.epochs < 1 or self.tokens_per_step < 1 or self.learning_rate <= 0:
            raise ConfigError("warm-up: epochs, tokens_per_step and learning_rate must be above 0")


class MaskingCollator:
    """Hides tokens of padded batches, others in every epoch.

    Parameters
    ----------
    sequences : list of int32 arrays
    padding, mask : int
        The tokens of those names.
    special : list of int
        Tokens that are never hidden.
    vocabulary : int
        Tokens there are.
    share : float
        Of the tokens to hide.
    seed : int
    """

    def __init__(
        self,
        sequences: list[Ids],
        *,
        padding: int,
        mask: int,
        special: Sequence[int],
        vocabulary: int,
        share: float,
        seed: int,
    ) -> None:
        self.sequences = sequences
        self.padding = padding
        self.mask = mask
        self.special = np.asarray(special, np.int64)
        self.vocabulary = vocabulary
        self.share = share
        self.draw = np.random.default_rng(seed)

    def __call__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """The batch with hidden tokens; labels are -100 where nothing is hidden."""
        batch = pad([self.sequences[row] for row in rows], self.padding)
        ids = batch.input_ids.numpy().copy()
        eligible = batch.attention_mask.bool().numpy() & ~np.isin(ids, self.special)
        hidden = eligible & (self.draw.random(ids.shape) < self.share)
        labels = np.where(hidden, ids, UNSCORED)
        fate = self.draw.random(ids.shape)
        ids[hidden & (fate < 0.8)] = self.mask
        swapped = hidden & (fate >= 0.9)
        ids[swapped] = self.draw.integers(0, self.vocabulary, int(swapped.sum()))
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": batch.attention_mask,
            "labels": torch.from_numpy(labels),
        }


class _Sequences(torch.utils.data.Dataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index


def warm_up(
    battles: pl.DataFrame,
    spec: EncoderSpec,
    settings: MaskedWarmUpSettings,
    seed: int,
    folder: Path,
    *,
    device: str = "auto",
    pace: PaceCallback | None = None,
) -> EncoderSpec:
    """Train an encoder to fill in hidden tokens of battles, and save it.

    A call that was finished returns at once, as long as texts, spec, settings
    and seed are the same.

    Parameters
    ----------
    battles : DataFrame
        Canonical battles; no label is read, so unlabelled ones serve as well.
    spec : EncoderSpec
        The encoder to start from. A checkpoint without a language-model head
        gets a new one, which is trained along and dropped.
    settings : MaskedWarmUpSettings
    seed : int
        Root seed.
    folder : Path
        Where the model folder goes.
    device : str, default "auto"
    pace : callable of TrainingPace, optional

    Returns
    -------
    EncoderSpec
        The spec of the warmed-up encoder: `spec` with `folder` as its model.

    Raises
    ------
    BattleError
        When there are no battles.
    ConfigError
        When the model has no mask token or no language-model form.
    WeightsError
        When the encoder's weights are missing or damaged.
    """
    if battles.is_empty():
        raise BattleError("there are none to read", source="warm-up battles")
    weights = find_weights(spec)
    tokenizer = Tokenizer(weights, spec)
    sequences = _distinct_sequences(battles, tokenizer)
    warmed = replace(spec, model=str(folder), revision=None)
    fingerprint = value_fingerprint(
        {
            "spec": spec.id,
            "settings": asdict(settings),
            "seed": seed,
            "sequences": [hash_of(sequence) for sequence in sequences],
        }
    )
    record = folder / RECORD
    if record.is_file() and read_json(record).get("fingerprint") == fingerprint:
        logger.info("warm-up: already done in %s", folder)
        return warmed

    set_seed(derive_seed(seed, "warm-up"))
    picked = pick_device(device)
    model = _language_model(weights)
    trainer = _trainer(model, tokenizer, sequences, settings, seed, picked, folder, pace)
    trainer.train()
    if trainer.is_world_process_zero():
        encoder: Any = model.base_model
        with quiet_transformers():
            encoder.save_pretrained(folder)
        tokenizer.loaded.save_pretrained(folder)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        write_json(record, {"fingerprint": fingerprint, "losses": losses})
    trainer.accelerator.wait_for_everyone()
    return warmed


def hash_of(sequence: npt.NDArray[np.integer]) -> str:
    """A short name of a sequence's tokens."""
    return value_fingerprint(sequence.tolist())[:16]


def _distinct_sequences(battles: pl.DataFrame, tokenizer: Tokenizer) -> list[Ids]:
    prompts = battles["prompt"].to_list()
    both = [
        sequence
        for side in ("response_a", "response_b")
        for sequence in tokenizer.conversations(prompts, battles[side].to_list()).ids
    ]
    return list({sequence.tobytes(): sequence for sequence in both}.values())


def _language_model(weights: Path) -> Any:
    with quiet_transformers():
        try:
            model = AutoModelForMaskedLM.from_pretrained(
                weights,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
            )
        except ValueError as error:
            raise ConfigError(
                f"warm-up: {weights} has no masked-language-model form in transformers"
            ) from error
    set_dropout(model, 0.0)
    return model


def _trainer(
    model: Any,
    tokenizer: Tokenizer,
    sequences: list[Ids],
    settings: MaskedWarmUpSettings,
    seed: int,
    device: torch.device,
    folder: Path,
    pace: PaceCallback | None,
) -> TokenBudgetTrainer:
    loaded = tokenizer.loaded
    if loaded.mask_token_id is None:
        raise ConfigError("warm-up: the encoder's tokenizer has no mask token")
    _, precision = precision_arguments(settings.precision, device)
    rank, world = process_share()
    per_step = max(1, settings.tokens_per_step // world)
    per_batch = min(settings.tokens_per_batch or default_tokens_per_batch(device), per_step)
    sampler = TokenBudgetSampler(
        np.fromiter(map(len, sequences), np.int64, len(sequences)),
        per_batch,
        sort=True,
        seed=derive_seed(seed, "warm-up"),
        rank=rank,
        world=world,
    )
    accumulated = max(1, round(per_step / per_batch))
    steps = math.ceil(len(sampler) / accumulated) * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        gradient_accumulation_steps=accumulated,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(settings.warmup_share * steps),
        seed=derive_seed(seed, "warm-up trainer"),
        logging_strategy="steps",
        logging_steps=5,
        logging_first_step=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        remove_unused_columns=False,
        **precision,
    )
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return TokenBudgetTrainer(
        model=model,
        args=arguments,
        train_dataset=_Sequences(len(sequences)),
        data_collator=MaskingCollator(
            sequences,
            padding=tokenizer.padding,
            mask=loaded.mask_token_id,
            special=loaded.all_special_ids,
            vocabulary=len(loaded),
            share=settings.masked_share,
            seed=derive_seed(seed, "masks", rank),
        ),
        sampler=sampler,
        pace=pace or default_pace(),
        task="warm-up",
        tokens=lambda inputs: int(inputs["attention_mask"].sum()),
        groups=[
            {
                "params": decayed,
                "lr": settings.learning_rate,
                "weight_decay": settings.weight_decay,
            },
            {"params": others, "lr": settings.learning_rate, "weight_decay": 0.0},
        ],
        checkpoint_minutes=0,
    )
