"""Decoders: every way to compute a vector is that of one sequence at a time; none looks ahead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, T5Config, T5Model

from featlab.encoder import EncoderSpec, load_encoder
from featlab.encoder import kernels as kernels_room
from featlab.encoder.encoder import Encoder
from featlab.encoder.kernels import Scope
from featlab.encoder.pack import pack, pad, pool
from featlab.errors import ConfigError
from tests.featlab.encoder.conftest import (
    DECODERS,
    LENGTHS,
    cosines,
    one_at_a_time,
    token_sequences,
    write_decoder,
    write_modernbert,
    write_tokenizer,
)
from tests.featlab.encoder.test_agreement import EXACT, ROUNDED, plain_varlen

WAYS = ("padded", "sequences", "blocks", "varlen")


@pytest.fixture(autouse=True)
def plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a plain function of the same meaning in the CUDA kernel's place."""
    monkeypatch.setitem(kernels_room.KERNELS, "varlen", plain_varlen)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder a family."""
    return {family: write_decoder(tmp_path_factory.mktemp(family), family) for family in DECODERS}


def decoder(folder: Path, budget: int = 256, **fields: Any) -> Encoder:
    spec = EncoderSpec(str(folder), **{"max_tokens": 1024, "dtype": "float32", **fields})
    loaded = load_encoder(spec, device="cpu")
    loaded.budget = budget
    return loaded


def reference_of(folder: Path, sequences: list[list[int]], pooling: str = "last") -> np.ndarray:
    # Where scores are capped, transformers' plain attention is the only one that does it.
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    return one_at_a_time(model, sequences, pooling)


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("way", WAYS)
def test_float32(folders: dict[str, Path], family: str, way: str) -> None:
    sequences = token_sequences(LENGTHS)
    loaded = decoder(folders[family], attention=way)
    assert loaded.backbone.pooling == "last"
    vectors = loaded.encode(sequences)
    reference = reference_of(folders[family], sequences)
    assert cosines(vectors, reference).min() > EXACT
    np.testing.assert_allclose(vectors, reference, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["qwen3", "llama", "gemma2"])
def test_bfloat16(tmp_path: Path, family: str, way: str) -> None:
    folder = write_decoder(tmp_path, family, initializer_range=0.1)
    sequences = token_sequences((*LENGTHS, 700))
    vectors = decoder(folder, attention=way, dtype="bfloat16").encode(sequences)
    assert cosines(vectors, reference_of(folder, sequences)).min() > ROUNDED


@pytest.mark.parametrize("way", WAYS)
def test_the_mean_where_it_is_asked_for(folders: dict[str, Path], way: str) -> None:
    sequences = token_sequences(LENGTHS)
    vectors = decoder(folders["qwen3"], attention=way, pooling="mean").encode(sequences)
    reference = reference_of(folders["qwen3"], sequences, "mean")
    assert cosines(vectors, reference).min() > EXACT


def test_the_first_token_of_a_decoder_stands_for_nothing(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"Qwen3Model is a decoder.*'last' or 'mean'"):
        decoder(folders["qwen3"], pooling="cls")


def test_pooling_is_told_from_the_model(folders: dict[str, Path], tmp_path: Path) -> None:
    assert decoder(folders["llama"]).backbone.pooling == "last"
    assert decoder(write_modernbert(tmp_path)).backbone.pooling == "mean"


def test_a_published_checkpoint_has_a_head_that_is_left_out(tmp_path: Path) -> None:
    config = AutoModel.from_pretrained(write_decoder(tmp_path, "qwen3")).config
    config.tie_word_embeddings = True
    whole = AutoModelForCausalLM.from_config(config).eval()
    whole.save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors").unlink(missing_ok=True)
    sequences = token_sequences(LENGTHS)
    vectors = decoder(tmp_path).encode(sequences)
    assert cosines(vectors, one_at_a_time(whole.model, sequences, "last")).min() > EXACT


def test_what_reads_more_than_text_is_refused(tmp_path: Path) -> None:
    config = T5Config(
        vocab_size=30, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, num_decoder_layers=1
    )
    T5Model(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(ConfigError, match="T5Model is neither an encoder nor a decoder"):
        decoder(tmp_path)


def test_a_cpu_takes_the_packed_kernel(folders: dict[str, Path]) -> None:
    assert {decoder(folder).backbone.attention for folder in folders.values()} == {"sequences"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
def test_no_token_sees_a_later_one_or_a_neighbour(
    folders: dict[str, Path], family: str, way: str
) -> None:
    backbone = decoder(folders[family], attention=way).backbone
    first, last = token_sequences([40, 50])
    changed = [*last[:30], *token_sequences([20], seed=9)[0]]
    with torch.inference_mode():
        before, after = (
            backbone.hidden(backbone.batch([first, read])).flatten(0, 1) for read in (last, changed)
        )
    start = 40 if backbone.packed else 50
    torch.testing.assert_close(before[: start + 30], after[: start + 30])
    assert (before[start + 30 :] - after[start + 30 :]).abs().max() > 0.1


@pytest.mark.parametrize("way", ["sequences", "blocks", "varlen"])
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "mistral"])
def test_gradients_agree_with_padded(folders: dict[str, Path], family: str, way: str) -> None:
    sequences = token_sequences(LENGTHS)
    backbone = decoder(folders[family], attention="padded").backbone

    def gradient(attention: str) -> torch.Tensor:
        backbone.use_attention(attention)
        backbone.zero_grad()
        vectors = backbone(backbone.batch(sequences))
        (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
        return backbone.model.layers[1].self_attn.k_proj.weight.grad.clone().ravel()

    padded, packed = gradient("padded"), gradient(way)
    assert torch.nn.functional.cosine_similarity(padded, packed, dim=0) > EXACT


@pytest.mark.parametrize("way", ["padded", "sequences"])
@pytest.mark.parametrize("family", ["qwen3", "gemma2"])
def test_gradients_under_autocast(tmp_path: Path, family: str, way: str) -> None:
    folder = write_decoder(tmp_path, family, initializer_range=0.1)
    sequences = token_sequences(LENGTHS)
    backbone = decoder(folder, attention=way).backbone

    def gradient(dtype: torch.dtype) -> torch.Tensor:
        backbone.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            vectors = backbone(backbone.batch(sequences))
        (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
        return backbone.model.layers[1].self_attn.q_proj.weight.grad.clone().ravel()

    exact, rounded = gradient(torch.float32), gradient(torch.bfloat16)
    assert torch.nn.functional.cosine_similarity(exact, rounded, dim=0) > ROUNDED


def test_a_kernel_that_looks_ahead_is_not_used(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def both_ways(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scope: Scope
    ) -> torch.Tensor:
        return plain_varlen(query, key, value, replace(scope, causal=False))

    monkeypatch.setitem(kernels_room.KERNELS, "varlen", both_ways)
    with pytest.raises(ConfigError, match="disagrees with padded attention"):
        decoder(folders["qwen3"], attention="varlen")

    def hardly(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scope: Scope
    ) -> torch.Tensor:
        right = plain_varlen(query, key, value, scope)
        return torch.lerp(right, both_ways(query, key, value, scope), 0.003)

    # Too little for the cosine to tell.
    monkeypatch.setitem(kernels_room.KERNELS, "varlen", hardly)
    with pytest.raises(ConfigError, match="lets tokens of a decoder see later ones"):
        decoder(folders["qwen3"], attention="varlen")


def test_the_last_token_of_a_padded_row_is_no_padding() -> None:
    hidden = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [9.0], [9.0]]])
    assert pool(hidden, pad([[5, 6, 7], [5]]), "last").tolist() == [[3.0], [4.0]]
    assert pool(hidden[:1], pack([[5, 6], [7]]), "last").tolist() == [[2.0], [3.0]]


def test_flash_attention_is_asked_for_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[tuple[int, int]] = []

    def varlen_attn(*arguments: Any, window_size: tuple[int, int], **_: Any) -> Any:
        sides.append(window_size)
        return arguments[2]

    monkeypatch.setattr(kernels_room, "_public_varlen", lambda: varlen_attn)
    part, boundaries = torch.zeros(3, 2, 8), torch.tensor([0, 1, 3], dtype=torch.int32)
    for scope in (Scope(boundaries, 2, causal=True), Scope(boundaries, 2, 4, causal=True)):
        kernels_room.varlen_kernel(part, part, part, scope)
    assert sides == [(-1, 0), (4, 0)]
    with pytest.raises(ValueError, match="cap scores"):
        kernels_room.varlen_kernel(part, part, part, Scope(boundaries, 2, softcap=50.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
@pytest.mark.parametrize("family", DECODERS)
def test_on_cuda(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    monkeypatch.setitem(kernels_room.KERNELS, "varlen", kernels_room.varlen_kernel)
    sequences = token_sequences(LENGTHS)
    loaded = load_encoder(EncoderSpec(str(folders[family]), max_tokens=1024), device="cuda")
    vectors = loaded.encode(sequences)
    assert cosines(vectors, reference_of(folders[family], sequences)).min() > ROUNDED
