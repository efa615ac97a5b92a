"""Presets: which signals take part, and with which encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

from featlab.encoder.spec import MINILM, MODERNBERT_BASE, EncoderSpec
from featlab.errors import ConfigError, WeightsError
from pipelines.run.settings import EncoderSettings, Preset, TrainSettings

SIGNALS = ("text", "lexical", "identity", "embedding", "encoder")
"""Every signal, in the order of the stacker's columns."""

BY_DEFAULT = {
    "fast": ("text", "lexical", "identity"),
    "cpu": SIGNALS,
    "modernbert": SIGNALS,
}
"""Preset -> its signals."""


@dataclass(frozen=True)
class Recipe:
    """What a preset came to on this machine.

    Parameters
    ----------
    preset : str
        ``fast``, ``cpu`` or ``modernbert``.
    signals : tuple of str
        In the order of `SIGNALS`; the text signal is always there.
    encoder : EncoderSpec, optional
        The encoder, where a signal needs one.
    reason : str
        Why it came to this.
    """

    preset: str
    signals: tuple[str, ...]
    encoder: EncoderSpec | None
    reason: str

    def for_battles(self, *, named: bool) -> Recipe:
        """The same recipe, without the identity signal where battles name no models."""
        if named or "identity" not in self.signals:
            return self
        return replace(
            self,
            signals=tuple(name for name in self.signals if name != "identity"),
            reason=f"{self.reason}; without identity, since the battles name no models",
        )


def resolve(settings: TrainSettings) -> Recipe:
    """The recipe of a preset on this machine, with the signals switched as the settings say.

    Raises
    ------
    ConfigError
        For a signal that does not exist, or an encoder without torch.
    """
    preset, reason = (
        _automatic() if settings.preset == "auto" else (settings.preset, "as asked for")
    )
    if settings.signals is None:
        signals: tuple[str, ...] = BY_DEFAULT[preset]
    else:
        unknown = set(settings.signals) - set(SIGNALS)
        if unknown:
            raise ConfigError(
                f"no signal {', '.join(sorted(unknown))}; there are {', '.join(SIGNALS)}"
            )
        chosen = {"text", *settings.signals}
        signals = tuple(name for name in SIGNALS if name in chosen)
    encoder = None
    if {"embedding", "encoder"} & set(signals):
        if find_spec("torch") is None:
            raise ConfigError(
                "the embedding and encoder signals need torch: install featlab[encoder]"
            )
        encoder = _encoder(preset, settings.encoder)
    return Recipe(preset, signals, encoder, reason)


def _encoder(preset: Preset, settings: EncoderSettings) -> EncoderSpec:
    spec = MODERNBERT_BASE if preset == "modernbert" else MINILM
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
