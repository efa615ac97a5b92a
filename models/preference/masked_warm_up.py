"""Masked-language-model warm-up: an encoder reads on in the battles' own text.

It learns to fill in hidden tokens before it is fine-tuned, from the training
battles' texts alone; no label is read, and no text of a held-out battle.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, set_seed

from featlab.encoder import EncoderSpec
from featlab.encoder.backbone import Backbone
from featlab.encoder.pack import pad
from featlab.encoder.pretrained import quiet_transformers
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from featlab.files import read_json, write_json
from featlab.randomness import derive_seed
from models.preference.preference_model import write_encoder
from models.preference.token_budget_trainer import TokenBudgetTrainer
from models.preference.training_battles import BattleTokens
from models.preference.training_job import TrainingJob, process_share
from models.preference.training_network import without_dropout

logger = logging.getLogger(__name__)

UNSCORED = -100

MASKED_SHARE = 0.3
"""Of the tokens to hide (Wettig et al., "Should You Mask 15% in Masked Language Modeling?")."""


def warm_up(battles: BattleTokens, spec: EncoderSpec, job: TrainingJob) -> EncoderSpec:
    """Train an encoder to fill in hidden tokens of battles, and save it.

    A call that was finished returns at once, and one that was killed goes on
    from its last checkpoint.

    Parameters
    ----------
    battles : BattleTokens
        The training battles.
    spec : EncoderSpec
        The encoder to start from; where it comes without a language-model head,
        a new one is trained along and dropped.
    job : TrainingJob
        That of the fine-tuning; its rates, batches and schedule serve here too.

    Returns
    -------
    EncoderSpec
        `spec` with the warmed-up encoder's folder as its model.

    Raises
    ------
    ConfigError
        When the model has no mask token or no language-model form.
    WeightsError
        When the encoder's weights are missing or damaged.
    """
    seed = derive_seed(job.seed, "warm-up")
    job = replace(job, seed=seed, folder=job.folder / "warm-up", task=f"{job.task}, warm-up")
    settings = job.settings
    warmed = replace(spec, model=str(job.folder / "encoder"), revision=None)
    finished = job.folder / "finished.json"
    if finished.is_file() and read_json(finished) == job.fingerprint:
        logger.info("%s: already done", job.task)
        return warmed
    set_seed(seed)
    weights = find_weights(spec)
    tokenizer = Tokenizer(weights, spec)
    sequences = list({ids.tobytes(): ids for ids in (*battles.a, *battles.b)}.values())
    model = _language_model(weights)
    trainer = TokenBudgetTrainer(
        model,
        [
            {
                "params": [p for p in model.parameters() if (p.ndim > 1) == matrices],
                "lr": settings.learning_rate,
                "weight_decay": settings.weight_decay if matrices else 0.0,
            }
            for matrices in (True, False)
        ],
        np.fromiter(map(len, sequences), np.int64, len(sequences)),
        MaskingCollator(sequences, tokenizer, derive_seed(seed, "masks", process_share()[0])),
        job,
        sort=True,
        epochs=settings.warm_up_epochs,
    )
    trainer.run()
    if trainer.is_world_process_zero():
        write_encoder(job.folder / "encoder", Backbone(model.base_model, spec.pooling), tokenizer)
        write_json(finished, job.fingerprint)
    trainer.accelerator.wait_for_everyone()
    return warmed


class MaskingCollator:
    """Hides tokens of padded batches, others in every epoch.

    Of the hidden tokens 80 % become the mask token, 10 % a random one, and
    10 % stay. Special tokens are never hidden.

    Raises
    ------
    ConfigError
        When the tokenizer has no mask token.
    """

    def __init__(self, sequences: list[Ids], tokenizer: Tokenizer, seed: int) -> None:
        loaded = tokenizer.loaded
        if loaded.mask_token_id is None:
            raise ConfigError("warm-up: the encoder's tokenizer has no mask token")
        self.sequences = sequences
        self.padding = tokenizer.padding
        self.mask = loaded.mask_token_id
        self.special = np.asarray(loaded.all_special_ids, np.int64)
        self.vocabulary = len(loaded)
        self.draw = np.random.default_rng(seed)

    def __call__(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the batch with hidden tokens; labels are -100 where nothing is hidden."""
        batch = pad([self.sequences[row] for row in rows], self.padding)
        ids = batch.input_ids.numpy().copy()
        eligible = batch.attention_mask.bool().numpy() & ~np.isin(ids, self.special)
        hidden = eligible & (self.draw.random(ids.shape) < MASKED_SHARE)
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


def _language_model(weights: Path) -> Any:
    safe = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    with quiet_transformers():
        try:
            model = AutoModelForMaskedLM.from_pretrained(weights, dtype=torch.float32, **safe)
        except ValueError as error:
            raise ConfigError(f"warm-up: {weights} has no masked-language-model form") from error
    without_dropout(model)
    # Where it can, it computes the vocabulary's logits of hidden tokens only, its largest tensor.
    model.sparse_prediction = True
    return model
