"""Presets: which signals take part, and with which encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from featlab.columns import Column
from featlab.encoder.spec import MINILM, MODERNBERT_BASE, QWEN3_SMALL, EncoderSpec
from featlab.errors import ConfigError, WeightsError
from featlab.signals import REGISTRY, Context, Need, Signal, find_signal
from featlab.signals.given import ADDRESS
from featlab.signals.text import TextSignal, text_signal_with
from models.preference.fine_tune_settings import FineTuneSettings
from models.stacking.table import stacked_columns
from pipelines.run.encoder_settings import EncoderSettings
from pipelines.run.folder import RunFolder
from pipelines.run.given_files import training_files
from pipelines.run.settings import DataSettings, Preset, TrainSettings

ALWAYS = "text"
"""The signal that every ensemble has."""

STAGES = frozenset(
    {"battles", "folds", "extra", "kernel", "search", "study", "blend", "metrics", "learning_curve"}
)
"""Other parts of a run, whose names no signal may have."""

_NOT_IN_NAMES = frozenset('",:[]{}')

BY_DEFAULT: Mapping[str, tuple[str, ...]] = {
    "fast": ("text", "lexical", "identity"),
    # A fine-tuned MiniLM takes most of the time and was never shown to add anything.
    "cpu": tuple(name for name in REGISTRY if name != "encoder"),
    "modernbert": tuple(REGISTRY),
    # A decoder that is not tuned yet has no vectors worth comparing.
    "llm": tuple(name for name in REGISTRY if name != "embedding"),
}
"""Preset -> its signals."""

ENCODERS: Mapping[str, tuple[EncoderSpec, FineTuneSettings]] = {
    "cpu": (MINILM, FineTuneSettings()),
    "modernbert": (MODERNBERT_BASE, FineTuneSettings()),
    "llm": (
        QWEN3_SMALL,
        FineTuneSettings(
            lora_rank=16,
            learning_rate=2e-4,
            tokens_per_step=32_768,
            recompute=True,
            reading="together",
        ),
    ),
}
"""Preset -> its encoder, and how that is fine-tuned."""


@dataclass(frozen=True)
class Recipe:
    """What a preset came to on this machine.

    Parameters
    ----------
    preset : str
        ``fast``, ``cpu``, ``modernbert`` or ``llm``.
    kinds : mapping of str to type of Signal
        Name -> class, in the order of the table's columns.
    context : Context
        What signals are told.
    reason : str
        Why it came to this.
    """

    preset: str
    kinds: Mapping[str, type[Signal[Any]]]
    context: Context = field(repr=False)
    reason: str

    def for_battles(self, *, named: bool) -> Recipe:
        """Return the recipe without signals that need model names, where battles have none."""
        kept = {
            name: kind for name, kind in self.kinds.items() if Need.MODEL_NAMES not in kind.needs
        }
        if named or len(kept) == len(self.kinds):
            return self
        gone = ", ".join(name for name in self.kinds if name not in kept)
        return replace(
            self,
            kinds=kept,
            reason=f"{self.reason}; without {gone}, since the battles name no models",
        )

    def context_of(self, name: str, run: RunFolder) -> Context:
        """Return what one signal of a run is told."""
        return replace(self.context, folder=run.fitted(name))

    def columns(self, name: str) -> tuple[Column, ...]:
        """Return the columns of a signal that the members see."""
        return stacked_columns(self.kinds[name].from_settings(self.context, 0).columns())


def context_of(
    settings: DataSettings,
    encoder: EncoderSpec | None = None,
    fine_tuning: FineTuneSettings | None = None,
) -> Context:
    """Return what the settings tell the signals."""
    families = None if settings.families is None else tuple(settings.families)
    if not isinstance(settings, TrainSettings):
        return Context(settings.seed, families)
    teacher = settings.encoder.soft_labels
    return Context(
        settings.seed,
        families,
        encoder,
        settings.encoder.store,
        options={
            "fine_tuning": None if fine_tuning is None else fine_tuning.to_dict(),
            "soft_labels": None if teacher is None else str(teacher),
            "given": training_files(settings.given),
        },
    )


def text_kind(settings: DataSettings) -> type[TextSignal]:
    """Return the text signal, with the user's own features where there are any."""
    return TextSignal if settings.features is None else text_signal_with(settings.features)


def resolve(settings: TrainSettings) -> Recipe:
    """Return the recipe of a preset on this machine, with the signals that the settings name.

    Every signal is made once, so that a setting that it refuses is refused here.

    Raises
    ------
    ConfigError
        For a signal that does not exist, signals that share a name or a column,
        or an encoder without torch.
    FeatureError
        For a feature family that does not exist.
    """
    preset, reason = (
        _automatic() if settings.preset == "auto" else (settings.preset, "as asked for")
    )
    names: Sequence[str] = BY_DEFAULT[preset]
    if settings.signals is not None:
        chosen = dict.fromkeys([ALWAYS, *settings.signals])
        names = [name for name in (*REGISTRY, *chosen) if name in chosen]
    kinds = {}
    given = [ADDRESS + name for name in training_files(settings.given)]
    for name in dict.fromkeys([*names, *given]):
        kind = text_kind(settings) if name == ALWAYS else find_signal(name)
        if Need.ENCODER in kind.needs and find_spec("torch") is None:
            raise ConfigError(f"the {name} signal needs torch: install featlab[encoder]")
        if kind.name in kinds or kind.name in STAGES:
            raise ConfigError(
                f"signal {name} is called {kind.name}, as is another part of the run; rename it"
            )
        kinds[kind.name] = kind
    needy = any(Need.ENCODER in kind.needs for kind in kinds.values())
    # A preset without an encoder whose signals are named one by one has the smallest one.
    spec, fine_tuning = ENCODERS.get(preset, ENCODERS["cpu"])
    encoder = _encoder(spec, settings.encoder) if needy else None
    context = context_of(settings, encoder, settings.encoder.fine_tuning(fine_tuning))
    makers: dict[str, str] = {}
    for name, kind in kinds.items():
        for column in kind.from_settings(context, 0).columns():
            if wrong := set(column.name) & _NOT_IN_NAMES:
                raise ConfigError(
                    f"signal {name}: the column {column.name} holds {min(wrong)!r}, which LightGBM "
                    "takes in no name"
                )
            other = makers.setdefault(column.name, name)
            if other != name:
                raise ConfigError(f"signals {other} and {name} both make the column {column.name}")
    return Recipe(preset, kinds, context, reason)


def _encoder(spec: EncoderSpec, settings: EncoderSettings) -> EncoderSpec:
    if settings.model is not None:
        spec = replace(spec, model=settings.model)
    if settings.max_tokens is not None:
        spec = replace(spec, max_tokens=settings.max_tokens)
    return spec


def _automatic() -> tuple[Preset, str]:
    """``modernbert`` where CUDA and the weights are there, else ``cpu``, else ``fast``."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        return "fast", "torch and transformers are not installed"
    from featlab.encoder.device import pick_device
    from featlab.encoder.weights import find_weights

    if pick_device("auto").type == "cuda":
        try:
            find_weights(MODERNBERT_BASE)
        except WeightsError as error:
            return "cpu", f"there is CUDA, but: {error}"
        return "modernbert", "there are CUDA and ModernBERT's weights"
    return "cpu", "there is no CUDA"
