"""How an encoder is fine-tuned: the frozen settings, with where each default comes from.

This module imports no torch, so that a configuration can be read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from featlab.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16", "float16"]
SavedDtype = Literal["float32", "float16"]
Reading = Literal["alone", "together"]

PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16", "float16")
SAVED_DTYPES: tuple[SavedDtype, ...] = ("float32", "float16")
READINGS: tuple[Reading, ...] = ("alone", "together")


@dataclass(frozen=True)
class FineTuneSettings:
    """How a preference model is trained.

    There is no setting for swapping sides at random: exchanging the responses
    exchanges the head's logits exactly, so a swapped battle has the same loss
    and the same gradients, and both orders would be the same training twice.

    Parameters
    ----------
    epochs : int, default 1
        Passes over the battles. One is enough for a small encoder on a few
        thousand battles: the second overfits.
    learning_rate : float, default 5e-5
        Of the encoder's last layer, at its peak.
    head_learning_rate : float, default 5e-4
        Of the head, which starts from nothing.
    layer_decay : float, default 0.9
        Each layer below the last learns by this factor more slowly, the
        embeddings the most slowly of all (Howard and Ruder, ULMFiT, 2018).
    weight_decay : float, default 1e-5
        Of matrices; biases and norms have none. With AdamW's betas .9 and .98
        and epsilon 1e-6 it is ModernBERT's own recipe (Warner et al., 2024).
    warmup_share : float, default 0.1
        Share of the steps in which the rate rises; then it falls by a cosine.
    tokens_per_step : int, default 8192
        Tokens behind one step of the optimiser, all devices together.
    tokens_per_batch : int, optional
        Tokens that go through the device at once; a step accumulates as many
        batches as it needs. ``None`` takes what suits the device.
    label_smoothing : float, default 0.0
        Share of the target spread evenly over the classes.
    identity_weight : float, default 0.0
        Weight of an auxiliary loss: name the model that wrote a response, where
        the battles say it. Its layer is dropped after training.
    distillation_weight : float, default 0.5
        For battles with soft labels: weight of the divergence from them; the
        rest is the weight of the hard label.
    warm_up_epochs : int, default 0
        Passes over the texts of the training battles before that, in which the
        encoder, whole in any case, learns to fill in hidden tokens
        (`models.preference.masked_warm_up`).
    precision : {"auto", "float32", "bfloat16", "float16"}
        Format of the arithmetic. Weights stay in float32 in any case: steps of
        this size would be rounded away in bfloat16. ``"auto"`` is what the
        device computes natively.
    lora_rank : int, default 0
        Above 0: train low-rank adapters of this rank instead of the encoder's
        own weights (`models.preference.low_rank`), which are then held in the
        format of the arithmetic. All layers have one rate, since all adapters
        start from nothing.
    four_bits : bool, default False
        With adapters: hold the weights in 4 bits (needs CUDA and bitsandbytes).
    recompute : bool, default False
        Compute activations again in the backward pass instead of keeping them:
        a third more time, a fraction of the memory.
    reading : {"alone", "together"}
        Whether a sequence holds the prompt and one response, or both responses,
        once in either order, which takes about two thirds more tokens.
    checkpoint_minutes : float, default 10.0
        A killed training loses at most about this much. 0 keeps no checkpoint.
    saved_dtype : {"float16", "float32"}
        Format of the encoder's weights on disk.

    Raises
    ------
    ConfigError
        When a value is out of range.

    Examples
    --------
    >>> FineTuneSettings(label_smoothing=0.1).label_smoothing
    0.1
    >>> FineTuneSettings.from_dict(FineTuneSettings().to_dict()) == FineTuneSettings()
    True
    """

    epochs: int = 1
    learning_rate: float = 5e-5
    head_learning_rate: float = 5e-4
    layer_decay: float = 0.9
    weight_decay: float = 1e-5
    warmup_share: float = 0.1
    tokens_per_step: int = 8192
    tokens_per_batch: int | None = None
    label_smoothing: float = 0.0
    identity_weight: float = 0.0
    distillation_weight: float = 0.5
    warm_up_epochs: int = 0
    precision: Precision = "auto"
    lora_rank: int = 0
    four_bits: bool = False
    recompute: bool = False
    reading: Reading = "alone"
    checkpoint_minutes: float = 10.0
    saved_dtype: SavedDtype = "float16"

    def __post_init__(self) -> None:
        above_zero = ("epochs", "tokens_per_step", "learning_rate", "head_learning_rate")
        from_zero = ("weight_decay", "identity_weight", "lora_rank", "checkpoint_minutes")
        demands = {
            **{name: ("above 0", getattr(self, name) > 0) for name in above_zero},
            **{name: ("0 or above", getattr(self, name) >= 0) for name in from_zero},
            "warm_up_epochs": (
                "0 with lora_rank, and never below",
                self.warm_up_epochs >= 0 and not (self.warm_up_epochs and self.lora_rank),
            ),
            "tokens_per_batch": (
                "above 0",
                self.tokens_per_batch is None or self.tokens_per_batch > 0,
            ),
            "warmup_share": ("in [0, 1)", 0 <= self.warmup_share < 1),
            "label_smoothing": ("in [0, 1)", 0 <= self.label_smoothing < 1),
            "layer_decay": ("in (0, 1]", 0 < self.layer_decay <= 1),
            "distillation_weight": ("in [0, 1]", 0 <= self.distillation_weight <= 1),
            "precision": (f"one of {', '.join(PRECISIONS)}", self.precision in PRECISIONS),
            "reading": (f"one of {', '.join(READINGS)}", self.reading in READINGS),
            "four_bits": ("off without lora_rank", not self.four_bits or self.lora_rank > 0),
            "saved_dtype": (f"one of {', '.join(SAVED_DTYPES)}", self.saved_dtype in SAVED_DTYPES),
        }
        for name, (demand, holds) in demands.items():
            if not holds:
                value = getattr(self, name)
                raise ConfigError(f"fine-tuning: {name} is {value!r}, but must be {demand}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` described.

        Raises
        ------
        ConfigError
            When a field is unknown or out of range.
        """
        try:
            return cls(**fields)
        except TypeError as error:
            raise ConfigError(f"fine-tuning: {error}") from error
