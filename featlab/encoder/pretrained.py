"""A transformers model out of its folder: loaded, checked, in the number format wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from featlab.errors import ConfigError, WeightsError


def load_model(folder: Path, how: dict[str, Any]) -> Any:
    """Return a folder's model for inference; `how` are transformers' arguments about its weights.

    Raises
    ------
    WeightsError
        When the weights do not fill the model that the configuration describes.
    ConfigError
        When the model is neither an encoder nor a decoder of text alone.
    """
    from transformers import AutoModel

    with quiet_transformers():
        try:
            model, loading = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                attn_implementation=None,
                output_loading_info=True,
                **how,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"{folder}: transformers cannot load it ({first_line})") from error
    # The pooler belongs to next-sentence prediction: checkpoints often lack it, nothing reads it.
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise WeightsError(
            f"{folder}: its weights lack {len(missing)} tensors of the model ({missing[0]} first); "
            "config.json and the weights belong to different models"
        )
    if isinstance(getattr(model, "pooler", None), torch.nn.Module):
        model.pooler.requires_grad_(False)
    if getattr(model.config, "is_encoder_decoder", False) or not hasattr(
        model.config, "hidden_size"
    ):
        raise ConfigError(
            f"encoder: {type(model).__name__} is neither an encoder nor a decoder of text alone; "
            "choose a model that is"
        )
    # A decoder would keep its keys and values for a next token that never comes.
    model.config.use_cache = False
    return model.eval()


def cast_weights(
    model: torch.nn.Module, dtype: torch.dtype, linear: torch.dtype | None = None
) -> None:
    """Change the number format of a model's weights, in place, and of nothing else.

    ``model.to(dtype)`` would round the rotary frequencies as well: in bfloat16
    a token in place 2,000 would be turned by radians too much.

    Parameters
    ----------
    model : Module
    dtype : torch.dtype
    linear : torch.dtype, optional
        Another format for the linear layers.
    """
    layers = (module for module in model.modules() if isinstance(module, torch.nn.Linear))
    of_layers = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for parameter in model.parameters():
        wanted = linear if linear is not None and id(parameter) in of_layers else dtype
        # What is quantised holds no numbers that could be cast.
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(wanted)


def in_four_bits(device: torch.device, computed: torch.dtype) -> dict[str, Any]:
    """Return how `load_model` holds linear layers in 4 bits and computes them in another format.

    Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023.

    Raises
    ------
    ConfigError
        When there is no card, or no bitsandbytes.
    """
    if device.type != "cuda":
        raise ConfigError(
            f"encoder: weights in 4 bits need a CUDA card, and this is the {device.type}; "
            "leave four_bits out"
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            "encoder: weights in 4 bits need bitsandbytes; run `pip install bitsandbytes`, "
            "or leave four_bits out"
        )
    from transformers import BitsAndBytesConfig

    configuration: Any = BitsAndBytesConfig
    quantised = configuration(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=computed,
    )
    return {"dtype": "auto", "quantization_config": quantised, "device_map": {"": device}}


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bar and its report of unused heads off the terminal."""
    from transformers.utils import logging as transformers_logging

    control: Any = transformers_logging
    level = control.get_verbosity()
    bar = control.is_progress_bar_enabled()
    control.set_verbosity_error()
    control.disable_progress_bar()
    try:
        yield
    finally:
        control.set_verbosity(level)
        if bar:
            control.enable_progress_bar()
