"""A small ModernBERT of random weights, with sliding and global layers and a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the encoder needs torch")
pytest.importorskip("transformers", reason="the encoder needs transformers")

# fmt: off
WORDS = [
    "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven",
    "wizards", "mix", "potions", "and", "nobody", "answers", "what", "code", "returns", "when",
    "asked", "for", "zero", "numbers",
]
# fmt: on
VOCABULARY = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
WINDOW = 8
"""Tokens seen on either side in the sliding layers of the small model."""


def write_tokenizer(folder: Path, *, decoder: bool = False) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    # As published files do: a length to cut and to pad at that must not be obeyed.
    backend.enable_truncation(max_length=6)
    backend.enable_padding(length=6, pad_id=1, pad_token="[PAD]")
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        **(
            {"eos_token": "[SEP]"}
            if decoder
            else {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
        ),
    ).save_pretrained(folder)


def write_modernbert(folder: Path, **settings: Any) -> Path:
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(5)
    config = ModernBertConfig(
        **{
            "vocab_size": len(VOCABULARY),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "local_attention": 2 * WINDOW,
            "max_position_embeddings": 2048,
            # Large enough for attention to be sharp, so that a wrong mask shows.
            "initializer_range": 0.5,
            "pad_token_id": 1,
            "cls_token_id": 2,
            "bos_token_id": 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
            **settings,
        }
    )
    ModernBertModel(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


DECODERS: dict[str, dict[str, Any]] = {
    "qwen2": {
        "use_sliding_window": True,
        "sliding_window": WINDOW + 1,
        "max_window_layers": 1,
        "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
    },
    "qwen3": {"head_dim": 8},
    "llama": {},
    "mistral": {"sliding_window": WINDOW + 1, "head_dim": 8},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": WINDOW + 1, "query_pre_attn_scalar": 8},
    "gemma3_text": {"head_dim": 8, "sliding_window": WINDOW + 1, "query_pre_attn_scalar": 8},
}
"""Families of decoders, with what sets each apart; all share keys and values among heads."""


def write_decoder(folder: Path, family: str, **settings: Any) -> Path:
    """Write a small decoder of random weights, and a tokenizer without a separator."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(5)
    config = AutoConfig.for_model(
        family,
        **{
            "vocab_size": len(VOCABULARY),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "initializer_range": 0.5,
            "pad_token_id": 1,
            "bos_token_id": 2,
            "eos_token_id": 3,
            **DECODERS[family],
            **settings,
        },
    )
    AutoModel.from_config(config).save_pretrained(folder)
    write_tokenizer(folder, decoder=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models gain nothing from threads, and tests run side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATLAB_THREADS", "1")
        torch.set_num_threads(1)
        yield


@pytest.fixture(scope="session")
def modernbert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a small ModernBERT."""
    return write_modernbert(tmp_path_factory.mktemp("modernbert"))


def token_sequences(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(5, len(VOCABULARY), length).tolist() for length in lengths]


LENGTHS = (1, 2, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW + 1, 60, 3, 60, 200)
"""From one token to far beyond the window, in no order, some of them equal."""


def one_at_a_time(model: Any, sequences: Sequence[Sequence[int]], pooling: str) -> np.ndarray:
    """The reference: float32, every sequence alone and without padding, transformers' own code."""
    vectors = []
    with torch.inference_mode():
        for sequence in sequences:
            hidden = model(input_ids=torch.tensor([list(sequence)])).last_hidden_state[0]
            of_one = {"cls": hidden[0], "last": hidden[-1], "mean": hidden.mean(0)}
            vectors.append(of_one[pooling])
    return torch.stack(vectors).numpy()


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
