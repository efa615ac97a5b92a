"""The trainable middle of an encoder: batches in, one pooled vector a sequence out.

The same module serves inference and fine-tuning. How attention is computed is
chosen when the module is made, and proved there: a packed forward pass that
does not agree with a padded one is not used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from featlab.encoder.attention import PADDED, PREFIX, candidates, register_kernels
from featlab.encoder.pack import (
    Batch,
    Indices,
    PackedBatch,
    TokenIds,
    pack,
    pad,
    plan_batches,
    pool,
)
from featlab.encoder.spec import LONGEST_SEQUENCE, EncoderSpec, PooledBy, Pooling
from featlab.errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)

AGREEMENT = 0.99
"""Least cosine between a packed and a padded vector that counts as the same, in any format."""

FORESIGHT = 1e-3
"""How far, relatively, a decoder's token may be moved by a later one: rounding is all there is."""


class Backbone(torch.nn.Module):
    """A transformers encoder or decoder with its way of attention and its pooling.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        What ``AutoModel`` loads: token ids in, hidden states out.
    pooling : {"auto", "mean", "cls", "last"}
        How a sequence becomes one vector.
    padding : int
        The token that fills padded rows.

    Raises
    ------
    ConfigError
        When the first token of a decoder, which has seen nothing else, shall
        stand for a sequence.
    """

    def __init__(self, model: torch.nn.Module, pooling: Pooling, padding: int = 0) -> None:
        super().__init__()
        self.model = model
        self.padding = padding
        self.causal = _is_causal(model)
        if pooling == "cls" and self.causal:
            raise ConfigError(
                f"encoder: {type(model).__name__} is a decoder, whose first token sees no other; "
                "choose pooling 'last' or 'mean'"
            )
        by_itself: PooledBy = "last" if self.causal else "mean"
        self.pooling: PooledBy = by_itself if pooling == "auto" else pooling
        self.position_offset = _position_offset(model)
        self.use_attention(PADDED)

    @property
    def config(self) -> Any:
        """The model's transformers configuration."""
        return self.model.config

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.config.hidden_size)

    @property
    def packed(self) -> bool:
        """Whether batches are packed rows; else they are padded rectangles."""
        return self.attention != PADDED

    def use_attention(self, attention: str) -> None:
        """Compute attention from now on ``"padded"``, or by one of `attention.KERNELS`."""
        model = cast("Any", self.model)
        if getattr(model, "_supports_attention_backend", False):
            register_kernels()
            model.set_attn_implementation(PREFIX + attention)
        elif attention != PADDED:
            raise ConfigError(
                f"encoder: {type(model).__name__} computes attention its own way; "
                "only attention 'padded' works with it"
            )
        self.attention = attention

    def plan(self, lengths: npt.NDArray[np.integer], budget: int) -> list[Indices]:
        """Decide which sequences share a batch of at most `budget` tokens, longest first."""
        return plan_batches(lengths, budget, padded=not self.packed)

    def batch(self, sequences: Sequence[TokenIds]) -> Batch:
        """Make one batch, on the CPU, of sequences of which none is empty."""
        return pack(sequences) if self.packed else pad(sequences, self.padding)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compute the sequences' vectors, float32 of shape (n, dimension)."""
        return pool(self.hidden(batch), batch, self.pooling)

    def hidden(self, batch: Batch) -> torch.Tensor:
        """Compute the tokens' vectors, of shape (rows, columns, dimension)."""
        if isinstance(batch, PackedBatch):
            outputs = self.model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids + self.position_offset,
                cu_seq_lens_q=batch.boundaries,
                cu_seq_lens_k=batch.boundaries,
                max_length_q=batch.longest,
                max_length_k=batch.longest,
            )
        else:
            # Without a mask the kernels that know none, which are the fastest, are open.
            mask = batch.attention_mask if batch.padded else None
            outputs = self.model(input_ids=batch.input_ids, attention_mask=mask)
        states: torch.Tensor = outputs.last_hidden_state
        return states


def load_backbone(
    spec: EncoderSpec,
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    padding: int = 0,
    autocast: torch.dtype | None = None,
    *,
    frozen: bool = False,
    four_bits: bool = False,
) -> Backbone:
    """Load an encoder's weights from a checked folder and choose its way of attention.

    Parameters
    ----------
    spec : EncoderSpec
        For its `pooling`, `attention` and `max_tokens`.
    folder : Path
        From `featlab.encoder.weights.find_weights`.
    device, dtype
        Where the weights go and their format. Training keeps them in float32.
    padding : int
        The token that fills padded rows.
    autocast : torch.dtype, optional
        Format the attention will be computed in, where autocast makes it
        another one than the weights'.
    frozen : bool
        Hold the linear layers, which are nearly all of a large model and will
        not be trained, in the format of `autocast`; norms and token vectors
        stay in `dtype`, and with them the sums from layer to layer.
    four_bits : bool
        Hold the linear layers in 4 bits instead (needs CUDA and bitsandbytes).

    Raises
    ------
    WeightsError
        When the weights do not fill the model that the configuration describes.
    ConfigError
        When the model reads fewer tokens than `spec.max_tokens`, or cannot
        compute attention as the spec demands, or nothing here computes in 4 bits.
    """
    computed = dtype if autocast is None else autocast
    as_stored = {"dtype": "auto"} if frozen else {"dtype": torch.float32}
    model = _load_model(folder, _in_four_bits(device, computed) if four_bits else as_stored)
    limit = _positions(model)
    if limit is not None and spec.max_tokens > limit:
        raise ConfigError(
            f"encoder: max_tokens is {spec.max_tokens}, but {spec.model} reads at most {limit}"
        )
    cast_weights(model, dtype, computed if frozen else None)
    backbone = Backbone(model if four_bits else model.to(device), spec.pooling, padding)
    choose_attention(backbone, spec.attention, autocast, spec.max_tokens)
    return backbone


def _in_four_bits(device: torch.device, computed: torch.dtype) -> dict[str, Any]:
    # Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023.
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


def _load_model(folder: Path, how: dict[str, Any]) -> Any:
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


def choose_attention(
    backbone: Backbone,
    requested: str,
    dtype: torch.dtype | None = None,
    longest: int = LONGEST_SEQUENCE,
) -> str:
    """Set the best way of attention that is proved to work here, and return its name.

    What is `requested` is one way, which must work, or ``"auto"``; `dtype` is what
    `load_backbone` calls `autocast`, `longest` how many tokens a sequence will
    have at most.
    """
    parameter = next(backbone.parameters())
    computed = parameter.dtype if dtype is None else dtype
    ways = [requested]
    if requested == "auto":
        ways = candidates(backbone.model, parameter.device, computed)
    for way in ways:
        problem = _disagreement(backbone, way, computed, longest)
        if problem is None:
            backbone.use_attention(way)
            return way
        if requested != "auto":
            raise ConfigError(f"encoder: attention '{way}' does not work here: {problem}")
        logger.warning("attention '%s' is not used: %s", way, problem)
    raise ConfigError("encoder: no way of attention works here")


def _positions(model: torch.nn.Module) -> int | None:
    # None where a model has no limit.
    limit = getattr(model.config, "max_position_embeddings", None)
    if not limit or getattr(model.config, "position_biased_input", True) is False:
        return None
    return int(limit) - _position_offset(model)


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


def _is_causal(model: torch.nn.Module) -> bool:
    # Each attention layer says so, by its architecture and the configuration.
    return any(getattr(module, "is_causal", False) is True for module in model.modules())


def _position_offset(model: torch.nn.Module) -> int:
    # RoBERTa and its kin count positions from the padding token's number on.
    embeddings: Any = getattr(model, "embeddings", None)
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        return int(embeddings.padding_idx) + 1
    return 0


def _disagreement(
    backbone: Backbone, attention: str, dtype: torch.dtype, longest: int
) -> str | None:
    # Beside a padded pass, on sequences shorter and longer than any window; None if there is none.
    if attention == PADDED:
        return None
    parameter = next(backbone.parameters())
    window = int(getattr(backbone.config, "sliding_window", None) or 0)
    longest = min(2 * window + 9, longest, _positions(backbone.model) or 512)
    tokens = np.arange(longest) % (min(int(backbone.config.vocab_size), 997) - 1)
    tokens += tokens >= backbone.padding
    sequences = [tokens[:length] for length in (1, min(7, longest), longest)]
    # Other tokens at the end of each: in a decoder no token before may know of it.
    others = [np.append(sequence[:-1], tokens[min(3, longest - 1)]) for sequence in sequences]
    was_training, before = backbone.training, backbone.attention
    backbone.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(parameter.device.type, dtype=dtype, enabled=dtype != parameter.dtype),
        ):
            found = []
            for way in (PADDED, attention):
                backbone.use_attention(way)
                found.append(backbone(backbone.batch(sequences).to(parameter.device)))
            seen, unseen = (
                backbone.hidden(backbone.batch(read).to(parameter.device))[0].float()
                for read in (sequences, others)
            )
    except Exception as error:
        # A kernel may fail in any way; the caller falls back or says why it cannot.
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    finally:
        backbone.use_attention(before)
        backbone.train(was_training)
    cosine = float(torch.nn.functional.cosine_similarity(*found).min())
    if not cosine > AGREEMENT:
        return f"it disagrees with padded attention (cosine {cosine:.4f})"
    ends = np.cumsum([len(sequence) for sequence in sequences]) - 1
    moved = (seen - unseen).abs().amax(1) / seen.abs().amax(1)
    moved[torch.from_numpy(ends)] = 0.0
    if backbone.causal and not float(moved.max()) < FORESIGHT:
        return "it lets tokens of a decoder see later ones"
    return None
