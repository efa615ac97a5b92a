"""ModernBERT on a CUDA card: packed, padded, sentence-transformers, and the card's own ceiling.

Weights are random, lengths are real: what is measured is speed. Tokens a second
count tokens that were asked for and never padding. The ceiling is what the same
card reaches on one large bfloat16 matrix product; a row's share of it is the
arithmetic its tokens need, done at that row's pace.

    FEATLAB_TEST_DATA=folder python -m tests.bench.gpu_encoder --tokenizer folder
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, ModernBertConfig, ModernBertModel

from featlab.encoder import MINILM, EncoderSpec, TruncationPolicy
from featlab.encoder.backbone import Backbone, load_backbone
from featlab.encoder.encoder import Encoder
from featlab.encoder.pack import Batch
from featlab.encoder.pretrained import cast_weights
from featlab.encoder.tokens import Ids, Tokenizer
from featlab.encoder.weights import find_weights
from tests.bench.embedding_throughput import bench_battles

NO_CUDA = (
    "gpu_encoder measures a CUDA card, and this torch sees none; run it where "
    "`python -c 'import torch; print(torch.cuda.is_available())'` prints True."
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    way : str
        What was measured.
    tokens_per_second : float
        Of the median round.
    share : float
        Of the ceiling.
    memory : float
        Peak memory in GiB.
    """

    way: str
    tokens_per_second: float
    share: float
    memory: float

    def __str__(self) -> str:
        return (
            f"| {self.way} | {self.tokens_per_second:,.0f} | {self.share:.1%} | {self.memory:.1f} |"
        )


def forward_flops(config: Any, lengths: np.ndarray) -> float:
    """Floating-point operations of one forward pass over sequences of these lengths.

    Two for each weight of a matrix and token, and four for each hidden unit
    and pair of tokens that see each other; normalisation and activation are
    left out, as is usual.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    weights = config.num_hidden_layers * (4 * hidden * hidden + 3 * hidden * inner)
    tokens = lengths.astype(np.float64)
    seen = {
        "full_attention": tokens,
        "sliding_attention": np.minimum(tokens, 2 * config.sliding_window + 1),
    }
    pairs = sum(float((tokens * seen[kind]).sum()) for kind in config.layer_types)
    return 2.0 * weights * float(tokens.sum()) + 4.0 * hidden * pairs


def seconds_of(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median seconds of `run` after one warm-up, waiting for the card."""
    found = []
    for turn in range(rounds + 1):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        if turn:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def synchronize(device: torch.device) -> None:
    """Wait until the card has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_ceiling(device: torch.device, size: int, rounds: int = 20) -> float:
    """Operations a second of a square bfloat16 matrix product."""
    left = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    right = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2.0 * size**3 / seconds_of(lambda: left @ right, device, rounds)


class Measurement:
    """What every row has in common: the sequences, the arithmetic they need, the ceiling."""

    def __init__(
        self, config: Any, sequences: list[Ids], ceiling: float, device: torch.device, rounds: int
    ) -> None:
        self.lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        self.sequences = sequences
        self.flops = forward_flops(config, self.lengths)
        self.ceiling = ceiling
        self.device = device
        self.rounds = rounds

    def row(self, way: str, run: Callable[[], object], passes: float = 1.0) -> Row:
        """Time `run`, which reads every sequence once; training costs three forward passes."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = seconds_of(run, self.device, self.rounds)
        memory = (
            torch.cuda.max_memory_allocated(self.device) / 2**30
            if self.device.type == "cuda"
            else float("nan")
        )
        return Row(
            way,
            tokens_per_second=float(self.lengths.sum()) / seconds,
            share=passes * self.flops / seconds / self.ceiling,
            memory=memory,
        )


def forward_rows(
    measured: Measurement, spec: EncoderSpec, folder: Path, budgets: list[int], compiled: bool
) -> Iterator[Row]:
    """Inference through `Encoder.encode`, tokens ready: every way of attention, several packs."""
    reader = Tokenizer(folder, spec)
    ways = ["varlen", "padded"] if measured.device.type == "cuda" else ["blocks", "padded"]
    for way in ways:
        for budget in budgets:
            backbone = loaded_backbone(spec, folder, measured.device, torch.bfloat16)
            try:
                backbone.use_attention(way)
                encoder = Encoder(spec, backbone, reader, budget)
                yield measured.row(
                    f"forward, {way}, {budget:,} tokens",
                    lambda encoder=encoder: encoder.encode(measured.sequences),
                )
                if compiled and way in {"varlen", "blocks"}:
                    compile_layers(backbone)
                    yield measured.row(
                        f"forward, {way}, {budget:,} tokens, compiled layers",
                        lambda encoder=encoder: encoder.encode(measured.sequences),
                    )
            except Exception as error:
                print(f"| forward, {way}, {budget:,} tokens | failed: {first_line(error)} | | |")


def compile_layers(backbone: Backbone) -> None:
    """Compile each layer by itself; the layers are alike, so most of it is compiled once."""
    for layer in backbone.model.layers:
        layer.compile(dynamic=True)


def training_rows(
    measured: Measurement, spec: EncoderSpec, folder: Path, budget: int, compiled: bool
) -> Iterator[Row]:
    """A training step: float32 weights, bfloat16 autocast, AdamW after every pack."""
    ways = ["varlen", "padded"] if measured.device.type == "cuda" else ["blocks", "padded"]
    for way in ways:
        for compile_too in [False, True] if compiled and way != "padded" else [False]:
            backbone = loaded_backbone(spec, folder, measured.device, torch.float32)
            backbone.use_attention(way)
            backbone.train()
            if compile_too:
                compile_layers(backbone)
            step = training_pass(backbone, measured, budget)
            name = f"training step, {way}, {budget:,} tokens" + ", compiled layers" * compile_too
            try:
                yield measured.row(name, step, passes=3.0)
            except Exception as error:
                print(f"| {name} | failed: {first_line(error)} | | |")


def training_pass(backbone: Backbone, measured: Measurement, budget: int) -> Callable[[], None]:
    """A function that trains once on every sequence."""
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=1e-6, fused=True)
    batches: list[Batch] = [
        backbone.batch([measured.sequences[i] for i in plan])
        for plan in backbone.plan(measured.lengths, budget)
    ]

    def run() -> None:
        for batch in batches:
            with torch.autocast(measured.device.type, dtype=torch.bfloat16):
                vectors = backbone(batch.to(measured.device))
            vectors.square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def sentence_transformers_row(
    measured: Measurement, folder: Path, texts: list[str], spec: EncoderSpec
) -> Row:
    """sentence-transformers' `encode` with its defaults, in bfloat16; tokenising is part of it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    body = Transformer(str(folder), model_kwargs={"dtype": torch.bfloat16})
    body.max_seq_length = spec.max_tokens
    model = SentenceTransformer(
        modules=[body, Pooling(body.get_word_embedding_dimension())], device=str(measured.device)
    )
    return measured.row(
        "forward, sentence-transformers encode, its defaults",
        lambda: model.encode(texts, convert_to_tensor=True),
    )


def loaded_backbone(
    spec: EncoderSpec, folder: Path, device: torch.device, dtype: torch.dtype
) -> Backbone:
    """The weights in `dtype`, attention still padded."""
    backbone = load_backbone(spec, folder, device, torch.float32)
    cast_weights(backbone, dtype)
    return backbone


def write_random_model(folder: Path, tokenizer: Path, **sizes: int) -> None:
    """ModernBERT of random weights, with an existing tokenizer beside it."""
    torch.manual_seed(0)
    ModernBertModel(ModernBertConfig(**sizes)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer, local_files_only=True).save_pretrained(folder)


def first_line(error: Exception) -> str:
    """An error's type and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:120]


def main() -> None:
    """Print a table of tokens a second."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer's folder (default: MiniLM's)")
    parser.add_argument("--battles", type=int, default=1983, help="battles to read")
    parser.add_argument("--max-tokens", type=int, default=2048, help="longest sequence")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each row")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument(
        "--device", default="cuda", help="'cpu' tries the script out on a tiny model"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(NO_CUDA)
    device = torch.device(options.device)
    on_card = device.type == "cuda"
    budgets = [16_384, 65_536, 131_072] if on_card else [512]
    sizes = {} if on_card else {"hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 4}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_random_model(folder, options.tokenizer or find_weights(MINILM), **sizes)
        spec = EncoderSpec(
            str(folder),
            max_tokens=options.max_tokens,
            truncation=TruncationPolicy(prompt_share=1 / 3, head_share=1.0),
            attention="padded",
        )
        battles, source = bench_battles(options.battles)
        prompts, answers = battles["prompt"].to_list(), battles["response_a"].to_list()
        reader = Tokenizer(folder, spec)
        conversations = reader.conversations(prompts, answers)
        texts = ["\n\n".join(turns) for turns in answers]
        ceiling = matrix_ceiling(device, 8192 if on_card else 256)
        config = ModernBertConfig(**sizes)
        measured = Measurement(config, conversations.ids, ceiling, device, options.rounds)

        card = torch.cuda.get_device_name(device) if on_card else "CPU, tiny model"
        print(f"{card}; torch {torch.__version__}, transformers {transformers.__version__}")
        cut = float((conversations.full_lengths > conversations.lengths).mean())
        print(f"{source}: {len(conversations.ids):,} sequences, a prompt and a response each,")
        print(f"{measured.lengths.sum():,} tokens, {cut:.1%} of the sequences truncated")
        print(f"median length {np.median(measured.lengths):.0f} tokens")
        print(f"ceiling: {ceiling / 1e12:,.1f} TFLOP/s in one bfloat16 matrix product,")
        print(f"which is {ceiling * measured.lengths.sum() / measured.flops:,.0f} tokens/s\n")
        print("| way | tokens/s | share of the ceiling | peak GiB |\n|---|---|---|---|")
        compiled = on_card and not options.no_compile
        for row in forward_rows(measured, spec, folder, budgets, compiled):
            print(row, flush=True)
        # sentence-transformers reads texts, so its row has texts of its own.
        alone = Measurement(config, reader.texts(texts).ids, ceiling, device, options.rounds)
        print(sentence_transformers_row(alone, folder, texts, spec), flush=True)
        encoder_backbone = loaded_backbone(spec, folder, device, torch.bfloat16)
        encoder_backbone.use_attention("varlen" if on_card else "blocks")
        encoder = Encoder(spec, encoder_backbone, reader, budgets[-1] if on_card else 512)
        print(
            alone.row(
                "forward, featlab encode_texts on the same texts",
                lambda: encoder.encode_texts(texts),
            ),
            flush=True,
        )
        for row in training_rows(measured, spec, folder, budgets[0], compiled):
            print(row, flush=True)


if __name__ == "__main__":
    main()
