"""Batches hold every sequence once, within budget; pooling respects boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featlab.encoder.pack import pack, pad, plan_batches, pool
from featlab.encoder.spec import Pooling

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(lengths=LENGTHS, budget=st.integers(1, 120), padded=st.booleans())
def test_every_sequence_is_in_one_batch_that_keeps_the_budget(
    lengths: list[int], budget: int, padded: bool
) -> None:
    counts = np.array(lengths)
    plan = plan_batches(counts, budget, padded=padded)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    for batch in plan:
        tokens = counts[batch].max() * len(batch) if padded else counts[batch].sum()
        assert tokens <= budget or len(batch) == 1


@given(lengths=LENGTHS)
def test_packed_and_padded_hold_the_same_tokens(lengths: list[int]) -> None:
    sequences = [list(range(1, length + 1)) for length in lengths]
    packed, padded = pack(sequences), pad(sequences, padding=0)
    assert packed.lengths.tolist() == padded.lengths.tolist() == lengths
    flat = padded.input_ids[padded.attention_mask.bool()]
    assert flat.tolist() == packed.input_ids[0].tolist()
    assert packed.position_ids[0].tolist() == [p for n in lengths for p in range(n)]
    assert padded.padded == (len(set(lengths)) > 1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_agrees_and_ignores_padding(pooling: Pooling) -> None:
    sequences = [[1] * 3, [1], [1] * 5]
    packed, padded = pack(sequences), pad(sequences)
    rows = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    flat = rows[padded.attention_mask.bool()][None]
    expected = torch.stack(
        [
            row[:length].mean(0) if pooling == "mean" else row[0]
            for row, length in zip(rows, (3, 1, 5), strict=True)
        ]
    )
    spoiled = torch.where(padded.attention_mask.bool()[..., None], rows, 1e6)
    torch.testing.assert_close(pool(flat, packed, pooling), expected)
    torch.testing.assert_close(pool(spoiled, padded, pooling), expected)


def test_means_are_summed_in_float32() -> None:
    # In bfloat16 a sum of ones stops growing at 256.
    hidden = torch.ones(1, 3000, 1, dtype=torch.bfloat16)
    for batch in (pack([[1] * 3000]), pad([[1] * 3000])):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled = pool(hidden, batch, "mean")
        assert pooled.dtype == torch.float32
        assert pooled.item() == pytest.approx(1.0, rel=1e-5)


def test_gradients_of_the_mean() -> None:
    hidden = torch.randn(1, 6, 2, dtype=torch.float64).float().requires_grad_()
    pool(hidden, pack([[1, 1], [1], [1, 1, 1]]), "mean").sum().backward()
    assert hidden.grad is not None
    expected = torch.tensor([1 / 2, 1 / 2, 1, 1 / 3, 1 / 3, 1 / 3])
    torch.testing.assert_close(hidden.grad[0, :, 0], expected)
