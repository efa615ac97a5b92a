"""What an encoder is: the frozen spec whose `id` names every vector it makes.

Two specs with the same `id` make the same vectors, up to the rounding of the
machine they run on; anything that changes a vector changes the `id`. This
module imports neither torch nor transformers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

from featlab.errors import ConfigError
from featlab.files import file_fingerprint, value_fingerprint

PooledBy: TypeAlias = Literal["mean", "cls", "last"]
Pooling: TypeAlias = Literal["auto", "mean", "cls", "last"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Attention: TypeAlias = Literal["auto", "varlen", "sequences", "blocks", "padded"]

LONGEST_SEQUENCE = 8192
"""Tokens of the longest sequence any supported encoder reads (ModernBERT's limit)."""

WEIGHT_FILES = "*.safetensors"
SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "spm.model")
"""Files of a model folder that decide its vectors, besides the weights."""


@dataclass(frozen=True)
class TruncationPolicy:
    """How a budget of tokens is shared out when a sequence is too long.

    Parameters
    ----------
    prompt_share : float, default 0.2
        Share of a turn's budget kept for the prompt when both the prompt and
        the response want more than there is; what one leaves unused goes to
        the other. Evidence favours the responses about 1 : 2 or more.
    head_share : float, default 0.5
        Share of a truncated text that is kept from its head; the rest is its
        tail.

    Raises
    ------
    ConfigError
        When a share is outside [0, 1].
    """

    prompt_share: float = 0.2
    head_share: float = 0.5

    def __post_init__(self) -> None:
        for name, share in asdict(self).items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"truncation: {name} is {share}, but a share lies in [0, 1]")


@dataclass(frozen=True)
class EncoderSpec:
    """Everything that decides what vector a text gets.

    Parameters
    ----------
    model : str
        A local folder, or a name on the Hugging Face hub; any encoder or
        decoder that ``transformers.AutoModel`` loads without remote code.
    revision : str, optional
        Branch, tag or commit on the hub. ``None`` takes the default branch,
        and the cached copy where there is one.
    max_tokens : int, default 512
        Longest sequence, special tokens included; longer ones are truncated.
        At most 8,192, and at most what the model reads.
    pooling : {"auto", "mean", "cls", "last"}
        A sequence's vector: the mean of its tokens', its first token's or its
        last token's. ``"auto"`` is the last token's in a decoder, where it
        alone has seen all of the sequence, and the mean elsewhere.
    truncation : TruncationPolicy
        What is kept of a sequence that is too long.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Number format of weights and activations; vectors come out in float32
        either way. ``"auto"``: the fastest the device computes natively
        (`featlab.encoder.device.inference_dtype`).
    attention : {"auto", "varlen", "sequences", "blocks", "padded"}
        How attention is computed (`featlab.encoder.attention`). Every way
        gives the same vectors, so this one is no part of `id`.

    Raises
    ------
    ConfigError
        When a value is out of range.

    Examples
    --------
    >>> spec = EncoderSpec("answerdotai/ModernBERT-base", max_tokens=1024)
    >>> EncoderSpec.from_dict(spec.to_dict()) == spec
    True
    """

    model: str
    revision: str | None = None
    max_tokens: int = 512
    pooling: Pooling = "auto"
    truncation: TruncationPolicy = field(default_factory=TruncationPolicy)
    dtype: Dtype = "auto"
    attention: Attention = "auto"

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("encoder: model is empty; give a folder or a name on the hub")
        if not 8 <= self.max_tokens <= LONGEST_SEQUENCE:
            raise ConfigError(
                f"encoder: max_tokens is {self.max_tokens}, but must lie in [8, {LONGEST_SEQUENCE}]"
            )
        choices = {"pooling": Pooling, "dtype": Dtype, "attention": Attention}
        for name, choice in choices.items():
            value, allowed = getattr(self, name), get_args(choice)
            if value not in allowed:
                raise ConfigError(
                    f"encoder: {name} is {value!r}, but must be one of {', '.join(allowed)}"
                )

    @property
    def folder(self) -> Path | None:
        """The local folder that `model` names, or ``None`` where it names a model on the hub."""
        folder = Path(self.model).expanduser()
        return folder if folder.is_dir() else None

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name this spec's vectors.

        A local folder counts by the content of its configuration, tokenizer
        and weights and not by its path, so that a moved folder keeps its
        vectors and a retrained one loses them.
        """
        fields = self.to_dict()
        del fields["attention"]
        if (folder := self.folder) is not None:
            files = {*map(folder.joinpath, SMALL_FILES), *folder.glob(WEIGHT_FILES)}
            found = {path.name: sha256_of(path) for path in files if path.is_file()}
            fields["model"] = value_fingerprint(found)
            del fields["revision"]
        return value_fingerprint(fields)[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Return the spec that `to_dict` described.

        Raises
        ------
        ConfigError
            When a field is unknown, missing or out of range.
        """
        try:
            truncation = TruncationPolicy(**fields.get("truncation", {}))
            return cls(**{**fields, "truncation": truncation})
        except TypeError as error:
            raise ConfigError(f"encoder: {error}") from error


MINILM = EncoderSpec("sentence-transformers/all-MiniLM-L6-v2", max_tokens=320)
"""22 million parameters; its weights come as a Python package, so a CPU needs no hub."""

MODERNBERT_BASE = EncoderSpec(
    "answerdotai/ModernBERT-base",
    max_tokens=2048,
    truncation=TruncationPolicy(prompt_share=1 / 3),
)
"""149 million parameters, 8,192 tokens: the default where there is a GPU."""

QWEN3_SMALL = EncoderSpec("Qwen/Qwen3-0.6B", max_tokens=2048)
"""A decoder of 600 million parameters: the smallest of a family that goes up to 32 billion."""


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read once while its size and time of change stay the same."""
    status = path.stat()
    return _fingerprint_once(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _fingerprint_once(path: Path, size: int, modified: int) -> str:
    return file_fingerprint(path)
