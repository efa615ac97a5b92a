"""What the trainings of one signal share: settings, machine, seed, folder, and who watches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from featlab.encoder.device import inference_dtype, pick_device
from featlab.encoder.encoder import CPU_BUDGET, GIBIBYTE
from featlab.errors import ConfigError
from featlab.progress import ProgressCallback
from models.preference.fine_tune_settings import FineTuneSettings


@dataclass(frozen=True)
class TrainingJob:
    """One training.

    Parameters
    ----------
    settings : FineTuneSettings
    device : torch.device
    dtype : torch.dtype
        Format of the arithmetic; weights stay in float32.
    seed : int
    folder : Path
        Where results and checkpoints go.
    fingerprint : str
        Of all that shapes the result; what another job left does not count.
    task : str
        Names it in progress reports.
    on_progress : callable of Progress, optional
        Called after every step; by default a bar on a terminal, lines in the
        log elsewhere.
    """

    settings: FineTuneSettings
    device: torch.device
    dtype: torch.dtype
    seed: int
    folder: Path
    fingerprint: str
    task: str
    on_progress: ProgressCallback | None = None


def training_device(settings: FineTuneSettings, device: str) -> tuple[torch.device, torch.dtype]:
    """Return this process's own card or the CPU, and the format to compute in.

    Raises
    ------
    ConfigError
        When the device cannot train in the format that the settings ask for.
    """
    picked = pick_device(device)
    if str(picked) == "cuda":
        picked = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    dtype = inference_dtype(settings.precision, picked)
    if dtype == torch.float16 and picked.type != "cuda":
        raise ConfigError(
            "fine-tuning: precision 'float16' needs a CUDA card; use auto, bfloat16 or float32"
        )
    return picked, dtype


def process_share() -> tuple[int, int]:
    """Return the number of this process and how many a launcher started; (0, 1) without one."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def tokens_at_once(
    settings: FineTuneSettings, device: torch.device, world: int = 1
) -> tuple[int, int]:
    """Return the tokens of a batch and of a step, on each of `world` processes.

    Examples
    --------
    >>> tokens_at_once(FineTuneSettings(), torch.device("cpu"))
    (4096, 8192)
    """
    per_step = max(1, settings.tokens_per_step // world)
    fitting = CPU_BUDGET
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / GIBIBYTE
        fitting = max(fitting, 512 * int(memory))
    return min(settings.tokens_per_batch or fitting, per_step), per_step
