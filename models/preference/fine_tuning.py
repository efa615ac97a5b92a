"""Fine-tune an encoder on battles: one call, one model.

Weights stay in float32 and the arithmetic runs under autocast; the head is
swap-equivariant by construction (`models.preference.preference_head`), so battles are
shown in one order. Several GPUs work through ``accelerate launch`` or
``torchrun``, one process each.
"""

from __future__ import annotations

from pathlib import Path

from transformers import set_seed

from featlab.encoder import EncoderSpec
from featlab.progress import ProgressCallback
from featlab.randomness import derive_seed
from featlab.signals.signal import FILES, VALUES, State
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.layerwise_rates import parameter_groups
from models.preference.masked_warm_up import warm_up
from models.preference.preference_model import write_model
from models.preference.token_budget_trainer import TokenBudgetTrainer
from models.preference.training_battles import BattleCollator, TrainingBattles
from models.preference.training_network import Arithmetic, load_network, merge_adapters

TRAINING = "training"


def fine_tune(
    battles: TrainingBattles,
    spec: EncoderSpec,
    settings: FineTuneSettings,
    seed: int,
    folder: Path,
    *,
    fingerprint: str,
    device: str = "auto",
    task: str = "fine-tuning",
    on_progress: ProgressCallback | None = None,
) -> State:
    """Fine-tune an encoder and a swap-equivariant head on battles.

    A call that was killed goes on from its last checkpoint, and one with
    another fingerprint starts anew.

    Parameters
    ----------
    battles : TrainingBattles
        Where ties are not known (a source without them), a battle has a
        two-class loss.
    spec : EncoderSpec
        The encoder to start from.
    settings : FineTuneSettings
        How to train.
    seed : int
        Root seed: of the order of battles, the head's first weights, dropout.
    folder : Path
        Where the trained encoder goes, as `featlab.signals.signal.save_signal`
        lays it out, and `TRAINING` with the checkpoints: to be removed once the
        state is saved.
    fingerprint : str
        Of all that shapes the model.
    device : str, default "auto"
        CUDA where it is there, else the CPU.
    task : str
        Names the training in progress reports.
    on_progress : callable of Progress, optional
        Called after every step; by default a bar on a terminal and lines in the log.

    Returns
    -------
    State
        What `models.preference.preference_model.PreferenceModel` is made of.

    Raises
    ------
    WeightsError
        When the encoder's weights are missing or damaged.
    ConfigError
        When the device cannot do what the settings ask for.
    """
    arithmetic = Arithmetic.of(settings, device)
    start = spec
    if settings.warm_up_epochs > 0:
        start = warm_up(
            battles.tokens,
            spec,
            settings,
            derive_seed(seed, "warm-up"),
            folder / TRAINING / "warm-up",
            fingerprint=fingerprint,
            arithmetic=arithmetic,
            task=f"{task}, warm-up",
            on_progress=on_progress,
        )
    set_seed(derive_seed(seed, "fine-tuning"))
    network, tokenizer = load_network(start, settings, arithmetic, battles.model_count)
    backbone = network.backbone
    trainer = TokenBudgetTrainer(
        network,
        parameter_groups(network, settings),
        battles.costs(packed=backbone.packed),
        BattleCollator(battles, backbone),
        settings,
        sort=not backbone.packed,
        epochs=settings.epochs,
        arithmetic=arithmetic,
        seed=seed,
        folder=folder / TRAINING / "checkpoints",
        task=task,
        on_progress=on_progress,
    )
    trainer.run(fingerprint)
    attention = backbone.attention
    if trainer.is_world_process_zero():
        merge_adapters(backbone)
        # A model of another training is no longer whole from here on.
        (folder / VALUES).unlink(missing_ok=True)
        write_model(folder / FILES, backbone, tokenizer, settings.saved_dtype)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()
    head = network.head
    return State(
        {name: tensor.detach().cpu().numpy() for name, tensor in head.state_dict().items()},
        {
            "fingerprint": fingerprint,
            "spec": spec.to_dict(),
            "settings": settings.to_dict(),
            "head": {"dimension": head.dimension, "hidden": head.hidden},
            "training": {
                **trainer.account(),
                "battles": len(battles),
                "without_ties": int((~battles.targets["tie_known"]).sum()),
                "device": str(arithmetic.device),
                "dtype": str(arithmetic.dtype).removeprefix("torch."),
                "attention": attention,
            },
        },
        folder / FILES,
    )
