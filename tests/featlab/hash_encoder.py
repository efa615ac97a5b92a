"""A stand-in for an encoder: vectors from a hash of the text, and a record of what was read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from featlab.encoder.spec import EncoderSpec

SPEC = EncoderSpec("hash-encoder")
DIMENSION = 6


class HashEncoder:
    """Vectors of a text depend on nothing but the text."""

    def __init__(self, spec: EncoderSpec = SPEC, dimension: int = DIMENSION) -> None:
        self.spec = spec
        self.dimension = dimension
        self.read: list[str] = []
        self.batches: list[int] = []
        self.loaded = 0

    def __call__(self, spec: EncoderSpec, device: str) -> HashEncoder:
        """Load it: usable as `load_encoder`."""
        self.loaded += 1
        return self

    def __deepcopy__(self, memo: object) -> HashEncoder:
        return self

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.read += texts
        self.batches.append(len(texts))
        return np.array([hashed(text, self.dimension) for text in texts]).reshape(
            len(texts), self.dimension
        )

    def encode_conversations(
        self, prompts: Sequence[Sequence[str]], responses: Sequence[Sequence[str]]
    ) -> npt.NDArray[np.float32]:
        return self.encode_texts(
            [repr((list(p), list(r))) for p, r in zip(prompts, responses, strict=True)]
        )


def hashed(text: str, dimension: int = DIMENSION) -> npt.NDArray[np.float32]:
    """The vector of a text, exact in float16."""
    digest = hashlib.blake2b(text.encode(), digest_size=dimension).digest()
    return np.frombuffer(digest, np.uint8).astype(np.float32) / 64 - 2
