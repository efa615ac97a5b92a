"""Fine-tune an encoder on battles: one call, one model.

Weights that are trained stay in float32 and the arithmetic runs under autocast; the head is
swap-equivariant by construction (`models.preference.preference_head`), so battles are
shown in one order. Several GPUs work through ``accelerate launch`` or
``torchrun``, one process each.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

from transformers import set_seed

from featlab.encoder import EncoderSpec
from featlab.randomness import derive_seed
from featlab.signals.state import FILES, VALUES, State
from models.preference.layerwise_rates import parameter_groups
from models.preference.low_rank import adapter_arrays
from models.preference.masked_warm_up import warm_up
from models.preference.preference_model import write_encoder
from models.preference.token_budget_trainer import TokenBudgetTrainer
from models.preference.training_battles import BattleCollator, TrainingBattles
from models.preference.training_job import TrainingJob
from models.preference.training_network import load_network

TRAINING = "training"


def fine_tune(battles: TrainingBattles, spec: EncoderSpec, job: TrainingJob) -> State:
    """Fine-tune an encoder and a swap-equivariant head on battles.

    Parameters
    ----------
    battles : TrainingBattles
        Where ties are not known (a source without them), a battle has a
        two-class loss.
    spec : EncoderSpec
        The encoder to start from.
    job : TrainingJob
        In its folder go the trained encoder, where
        `featlab.signals.signal.save_signal` looks for it, and `TRAINING`:
        checkpoints, to be removed when the state is saved.

    Returns
    -------
    State
        What `models.preference.preference_model.PreferenceModel` is made of:
        the head with the trained encoder as its files or, with adapters, with
        those, which stand on the encoder as it was.

    Raises
    ------
    WeightsError
        When the encoder's weights are missing or damaged.
    ConfigError
        When the model cannot do what the settings ask for.
    """
    settings = job.settings
    training = replace(job, folder=job.folder / TRAINING)
    start = spec
    if settings.warm_up_epochs > 0:
        start = warm_up(battles.tokens, spec, training)
    set_seed(derive_seed(job.seed, "fine-tuning"))
    network, tokenizer = load_network(start, settings, job.device, job.dtype, battles.model_count)
    backbone, head = network.backbone, network.head
    attention = backbone.attention
    trainer = TokenBudgetTrainer(
        network,
        parameter_groups(network, settings),
        battles.costs(packed=backbone.packed),
        BattleCollator(battles, backbone),
        training,
        sort=not backbone.packed,
        epochs=settings.epochs,
    )
    trainer.run()
    files = None if settings.lora_rank > 0 else job.folder / FILES
    if trainer.is_world_process_zero():
        # What another job left here is no longer whole from now on.
        (job.folder / VALUES).unlink(missing_ok=True)
        shutil.rmtree(job.folder / FILES, ignore_errors=True)
        if files is not None:
            write_encoder(files, backbone, tokenizer, settings.saved_dtype)
    trainer.accelerator.wait_for_everyone()
    of_head = {name: tensor.detach().cpu().numpy() for name, tensor in head.state_dict().items()}
    return State(
        {**of_head, **adapter_arrays(backbone)},
        {
            "fingerprint": job.fingerprint,
            "encoder": spec.to_dict(),
            "settings": settings.to_dict(),
            "head": {"dimension": head.dimension, "hidden": head.hidden},
            "training": {
                **trainer.account(),
                "battles": len(battles),
                "without_ties": int((~battles.targets["tie_known"]).sum()),
                "device": str(job.device),
                "dtype": str(job.dtype).removeprefix("torch."),
                "attention": attention,
            },
        },
        files,
    )
