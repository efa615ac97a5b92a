"""Embedding throughput on this machine, against sentence-transformers' `encode`.

Same texts, same weights, same number format, same threads, one process; runs
take turns, so that a busy machine slows both. Tokenising is part of both.

    python -m tests.bench.embedding_throughput --help
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from featlab.battles import joined_turns, read_battles
from featlab.encoder import MINILM, load_encoder
from featlab.encoder.weights import find_weights
from featlab.generated import generate_battles
from featlab.threads import thread_count

Format = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class EmbeddingThroughput:
    """Tokens a second of two ways to embed the same texts.

    Parameters
    ----------
    texts, tokens : int
        How many of each; special tokens count, padding does not.
    dtype : str
        The number format of both.
    featlab, sentence_transformers : list of float
        Seconds of each round.
    least_cosine : float
        Between the two vectors of one text.
    """

    texts: int
    tokens: int
    dtype: str
    featlab: list[float]
    sentence_transformers: list[float]
    least_cosine: float

    @property
    def featlab_tokens_per_second(self) -> float:
        """Tokens a second of the median round."""
        return self.tokens / statistics.median(self.featlab)

    @property
    def sentence_transformers_tokens_per_second(self) -> float:
        """Tokens a second of the median round."""
        return self.tokens / statistics.median(self.sentence_transformers)

    @property
    def ratio(self) -> float:
        """How many times as fast featlab is: the median over rounds of paired ratios."""
        pairs = zip(self.sentence_transformers, self.featlab, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    def __str__(self) -> str:
        return (
            f"{self.texts:,} texts, {self.tokens:,} tokens, MiniLM in {self.dtype}: "
            f"featlab {self.featlab_tokens_per_second:,.0f} tokens/s, sentence-transformers "
            f"{self.sentence_transformers_tokens_per_second:,.0f} tokens/s, "
            f"ratio {self.ratio:.2f} (rounds: {len(self.featlab)}, "
            f"least cosine between them {self.least_cosine:.5f})"
        )


def embedding_throughput(
    texts: list[str], dtype: Format = "float32", rounds: int = 3, max_tokens: int = 256
) -> EmbeddingThroughput:
    """Embed `texts` both ways, `rounds` times in turn, after one warm-up of each."""
    import torch
    from sentence_transformers import SentenceTransformer

    # Both keep the same tokens: sentence-transformers keeps the head of a long text alone.
    head_only = replace(MINILM.truncation, head_share=1.0)
    spec = replace(MINILM, dtype=dtype, max_tokens=max_tokens, truncation=head_only)
    ours = load_encoder(spec, device="cpu")
    theirs = SentenceTransformer(
        str(find_weights(spec)), device="cpu", model_kwargs={"dtype": getattr(torch, dtype)}
    )
    theirs.max_seq_length = max_tokens

    def by_featlab() -> np.ndarray:
        return ours.encode_texts(texts)

    def by_sentence_transformers() -> np.ndarray:
        # NumPy has no bfloat16; the cast is theirs to avoid and costs next to nothing.
        return theirs.encode(texts, convert_to_tensor=True).float().numpy()

    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    vectors = {"ours": by_featlab(), "theirs": by_sentence_transformers()}
    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours": by_featlab,
        "theirs": by_sentence_transformers,
    }
    for turn in range(rounds):
        for name in ("ours", "theirs") if turn % 2 == 0 else ("theirs", "ours"):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    unit = {
        name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in vectors.items()
    }
    return EmbeddingThroughput(
        texts=len(texts),
        tokens=int(ours.tokenizer.texts(texts).lengths.sum()),
        dtype=dtype,
        featlab=seconds["ours"],
        sentence_transformers=seconds["theirs"],
        least_cosine=float((unit["ours"] * unit["theirs"]).sum(1).min()),
    )


def bench_battles(count: int) -> tuple[pl.DataFrame, str]:
    """Battles to read and where they come from: real ones where FEATLAB_TEST_DATA has them."""
    folder = os.environ.get("FEATLAB_TEST_DATA")
    source = Path(folder, "arena", "train.csv") if folder else None
    if source is not None and source.is_file():
        return read_battles(source).head(count).collect(), "real battles"
    return read_battles(generate_battles(count, seed=7).train).collect(), "generated battles"


def main() -> None:
    """Print one line for each number format."""
    import sentence_transformers
    import torch
    import transformers

    from featlab.encoder.device import cpu_has_bfloat16

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--texts", type=int, default=1000, help="texts to embed")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each")
    parser.add_argument("--max-tokens", type=int, default=256, help="longest sequence")
    options = parser.parse_args()
    battles, name = bench_battles(options.texts)
    texts = battles.select(joined_turns("response_a")).to_series().to_list()
    print(
        f"{platform.machine()}, {thread_count()} threads, {name}; torch {torch.__version__}, "
        f"transformers {transformers.__version__}, "
        f"sentence-transformers {sentence_transformers.__version__}"
    )
    formats: list[Format] = ["float32", *(["bfloat16"] if cpu_has_bfloat16() else [])]
    for dtype in formats:
        print(embedding_throughput(texts, dtype, options.rounds, options.max_tokens))


if __name__ == "__main__":
    main()
