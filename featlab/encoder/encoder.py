"""The encoder: texts or token sequences in, pooled float32 vectors out.

Sequences are sorted and packed into rows of a token budget without padding; on a
CPU in bfloat16 where the chip computes it natively.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from featlab.encoder.backbone import Backbone, load_backbone
from featlab.encoder.device import inference_dtype, pick_device
from featlab.encoder.pack import Indices, TokenIds
from featlab.encoder.spec import EncoderSpec
from featlab.encoder.tokens import Tokenizer
from featlab.encoder.weights import find_weights
from featlab.progress import Progress, ProgressCallback

logger = logging.getLogger(__name__)

CPU_BUDGET = 4096
GIBIBYTE = 2**30


class Encoder:
    """An encoder ready for inference; `load_encoder` makes one.

    Parameters
    ----------
    spec : EncoderSpec
        What it is.
    backbone : Backbone
        Its weights, on the device to compute on.
    tokenizer : Tokenizer
    budget : int, optional
        Tokens in a batch, padding included; by default as many as suit the
        device.
    """

    def __init__(
        self, spec: EncoderSpec, backbone: Backbone, tokenizer: Tokenizer, budget: int | None = None
    ) -> None:
        self.spec = spec
        self.backbone = backbone.eval()
        self.tokenizer = tokenizer
        self.budget = _token_budget(self.device) if budget is None else budget

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.backbone.dimension

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.backbone.parameters()).device

    def encode(
        self, sequences: Sequence[TokenIds], on_progress: ProgressCallback | None = None
    ) -> npt.NDArray[np.float32]:
        """Compute one pooled vector a token sequence, shape (n, dimension), in their order.

        Parameters
        ----------
        sequences : sequence of sequences of int
            Ready token ids, special tokens included, as `tokenizer` makes
            them; any lengths up to the model's limit. An empty sequence has
            the vector 0.
        on_progress : callable of featlab.progress.Progress, optional
            Called with the tokens done so far after every batch.
        """
        vectors = np.zeros((len(sequences), self.dimension), np.float32)
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        nonempty = np.flatnonzero(lengths)
        total, done, started = int(lengths.sum()), 0, time.monotonic()
        pending: list[tuple[Indices, torch.Tensor]] = []
        with torch.inference_mode():
            for plan in self.backbone.plan(lengths[nonempty], self.budget):
                indices = nonempty[plan]
                pending.append((indices, self._pooled([sequences[index] for index in indices])))
                # One batch behind: the card computes this one while the last one is fetched.
                if len(pending) > 1:
                    ready, pooled = pending.pop(0)
                    vectors[ready] = pooled.cpu().numpy()
                done += int(lengths[indices].sum())
                if on_progress is not None:
                    seconds = time.monotonic() - started
                    on_progress(Progress("encoding tokens", done, total, done / total, seconds))
        for indices, pooled in pending:
            vectors[indices] = pooled.cpu().numpy()
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Compute one pooled vector a text, cut to `spec.max_tokens`, shape (n, dimension)."""
        return self.encode(self.tokenizer.texts(texts).ids)

    def encode_conversations(
        self, prompts: Sequence[Sequence[str]], responses: Sequence[Sequence[str]]
    ) -> npt.NDArray[np.float32]:
        """Compute one pooled vector a prompt with its response, both sequences of turns."""
        return self.encode(self.tokenizer.conversations(prompts, responses).ids)

    def _pooled(self, sequences: list[TokenIds]) -> torch.Tensor:
        try:
            pooled: torch.Tensor = self.backbone(self.backbone.batch(sequences).to(self.device))
        except torch.cuda.OutOfMemoryError:
            if len(sequences) == 1:
                raise
            torch.cuda.empty_cache()
            self.budget //= 2
            logger.warning("out of memory on the card: a batch of %d is halved", len(sequences))
            middle = len(sequences) // 2
            return torch.cat([self._pooled(sequences[:middle]), self._pooled(sequences[middle:])])
        return pooled


def load_encoder(spec: EncoderSpec, device: str = "auto") -> Encoder:
    """Find an encoder's weights, check them, and load them for inference.

    Parameters
    ----------
    spec : EncoderSpec
        Which encoder, and how it reads.
    device : str, default "auto"
        ``"auto"`` takes CUDA where it is there, else the CPU.

    Raises
    ------
    WeightsError
        When the weights are missing or damaged, with how to get them.
    ConfigError
        When the spec asks for what the model or the device cannot do.

    Examples
    --------
    >>> from featlab.encoder import MINILM, load_encoder
    >>> encoder = load_encoder(MINILM, device="cpu")  # doctest: +SKIP
    >>> encoder.encode_texts(["hello", "good day to you"]).shape  # doctest: +SKIP
    (2, 384)
    """
    folder = find_weights(spec)
    picked = pick_device(device)
    dtype = inference_dtype(spec.dtype, picked)
    tokenizer = Tokenizer(folder, spec)
    backbone = load_backbone(spec, folder, picked, dtype, tokenizer.padding)
    encoder = Encoder(spec, backbone, tokenizer)
    name = str(dtype).removeprefix("torch.")
    logger.info("%s on %s in %s, attention %s", spec.model, picked, name, backbone.attention)
    return encoder


def _token_budget(device: torch.device) -> int:
    # Enough to keep the device busy, and no more than fits into its memory.
    if device.type != "cuda":
        return CPU_BUDGET
    memory = torch.cuda.get_device_properties(device).total_memory / GIBIBYTE
    return max(2 * CPU_BUDGET, min(131_072, 1024 * int(memory)))
