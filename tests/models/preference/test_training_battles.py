"""Batches hold every battle once an epoch, of equal work, the same for every process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the preference model needs torch")

from featlab.battles import PROBABILITIES  # noqa: E402
from featlab.encoder.backbone import load_backbone  # noqa: E402
from featlab.encoder.tokens import Tokenizer  # noqa: E402
from featlab.errors import BattleError  # noqa: E402
from featlab.signals import Outcomes  # noqa: E402
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from models.preference.token_budget_sampler import TokenBudgetSampler  # noqa: E402
from models.preference.training_battles import BattleCollator, TrainingBattles  # noqa: E402
from models.preference.training_estimate import estimate_fine_tuning  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    prepared,
    quick_settings,
    small_spec,
    telling_battles,
)

COSTS = st.lists(st.integers(1, 200), min_size=4, max_size=60).map(np.array)


@given(costs=COSTS, budget=st.integers(1, 500), sort=st.booleans(), world=st.integers(1, 4))
@settings(deadline=None)
def test_every_row_once_and_no_batch_empty(
    costs: np.ndarray, budget: int, sort: bool, world: int
) -> None:
    shares = [
        TokenBudgetSampler(costs, budget, sort=sort, seed=1, rank=rank, world=world)
        for rank in range(world)
    ]
    for epoch in range(2):
        for share in shares:
            share.set_epoch(epoch)
        drawn = [list(share) for share in shares]
        assert {len(batches) for batches in drawn} == {len(shares[0])}
        batches = [batch for part in drawn for batch in part]
        assert all(batches)
        assert sorted(row for batch in batches for row in batch) == list(range(len(costs)))


@given(costs=COSTS, budget=st.integers(50, 500))
@settings(deadline=None)
def test_batches_stay_near_the_budget(costs: np.ndarray, budget: int) -> None:
    sampler = TokenBudgetSampler(costs, budget, sort=False, seed=2)
    if len(sampler) < len(costs) // 2:
        longest = int(costs.max())
        assert max(int(costs[batch].sum()) for batch in sampler) <= budget + 2 * longest


def test_epochs_differ_and_can_be_drawn_again() -> None:
    costs = np.arange(1, 60)
    sampler = TokenBudgetSampler(costs, 200, sort=True, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    again = TokenBudgetSampler(costs, 200, sort=True, seed=3)
    again.set_epoch(1)
    assert list(again) == second


def test_sorting_puts_like_lengths_together() -> None:
    costs = np.random.default_rng(0).integers(10, 300, 2000)

    def padding(sort: bool) -> float:
        batches = list(TokenBudgetSampler(costs, 3000, sort=sort, seed=4))
        padded = sum(int(costs[batch].max()) * len(batch) for batch in batches)
        return padded / costs.sum() - 1

    assert padding(sort=True) < 0.1 < padding(sort=False)


def test_more_processes_than_battles() -> None:
    with pytest.raises(BattleError, match="2 battles cannot be shared by 3 processes"):
        TokenBudgetSampler(np.array([5, 5]), 10, sort=False, seed=0, world=3)


def read(signal: EncoderSignal, battles: pl.DataFrame, rows: list[int]) -> TrainingBattles:
    return TrainingBattles.of(prepared(signal, battles), Outcomes.of(battles), np.array(rows))


@pytest.fixture(scope="module")
def signal(encoder_folder: Path) -> EncoderSignal:
    return EncoderSignal(small_spec(encoder_folder), device="cpu")


def test_targets(signal: EncoderSignal) -> None:
    battles = telling_battles(6).with_columns(
        pl.Series("tie_known", [True, None, False, True, True, True]),
        pl.Series("weight", [None, 1.0, 1.0, 0.5, 1.0, 1.0]),
        pl.Series("model_b", [None, *telling_battles(6)["model_b"].to_list()[1:]]),
        *(
            pl.Series(name, [None] * 3 + [share] + [None] * 2)
            for name, share in zip(PROBABILITIES, (0.5, 0.25, 0.25), strict=True)
        ),
    )
    found = read(signal, battles, [3, 0, 2])
    assert found.targets["labels"].tolist() == battles["label"].to_numpy()[[3, 0, 2]].tolist()
    assert found.targets["tie_known"].tolist() == [True, True, False]
    assert found.targets["weights"].tolist() == [0.5, 1, 1]
    assert found.targets["soft_labels"][0].tolist() == [0.5, 0.25, 0.25]
    assert found.targets["soft_labels"][1:].isnan().all()
    number = {"hare": 0, "tortoise": 1, None: -1}
    assert found.targets["models"].tolist() == [
        [number[battles["model_a"][row]], number[battles["model_b"][row]]] for row in (3, 0, 2)
    ]
    assert found.model_count == 2


def test_models_are_not_needed(signal: EncoderSignal) -> None:
    found = read(signal, telling_battles(4).drop("model_a", "model_b"), [0, 1])
    assert found.model_count == 0


def test_every_token_and_target_is_in_the_fingerprint(signal: EncoderSignal) -> None:
    battles = telling_battles(6)
    changed = [
        battles.with_columns(response_b=pl.col("response_a")),
        battles.with_columns(label=((pl.col("label") + 1) % 3)),
        battles.with_columns(tie_known=pl.lit(False)),
        battles.with_columns(weight=pl.lit(2.0)),
        battles.with_columns(model_a=pl.lit("snail")),
        battles.with_columns(pl.lit(1 / 3).alias(name) for name in PROBABILITIES),
        battles[1:],
        battles.reverse(),
    ]
    found = [read(signal, frame, list(range(len(frame)))) for frame in (battles, *changed)]
    assert len({one.fingerprint() for one in found}) == len(found)
    assert read(signal, battles, list(range(6))).fingerprint() == found[0].fingerprint()


@pytest.mark.parametrize("attention", ["padded", "blocks"])
def test_a_batch_holds_the_a_sides_and_then_the_b_sides(
    encoder_folder: Path, attention: str
) -> None:
    spec = small_spec(encoder_folder, attention=attention)
    padding = Tokenizer(encoder_folder, spec).padding
    backbone = load_backbone(spec, encoder_folder, torch.device("cpu"), torch.float32, padding)
    battles = read(EncoderSignal(spec), telling_battles(5), list(range(5)))
    found = BattleCollator(battles, backbone)([4, 1])
    lengths = battles.lengths
    assert found["batch"].lengths.tolist() == [*lengths[[4, 1], 0], *lengths[[4, 1], 1]]
    assert found["labels"].tolist() == battles.targets["labels"][[4, 1]].tolist()


def test_costs(signal: EncoderSignal) -> None:
    battles = read(signal, telling_battles(5), [0, 1, 2])
    assert battles.costs(packed=True).tolist() == [a + b for a, b in battles.lengths]
    assert battles.costs(packed=False).tolist() == [2 * max(a, b) for a, b in battles.lengths]


def test_an_estimate_counts_every_token(encoder_folder: Path) -> None:
    battles = telling_battles(20)
    signal = EncoderSignal(
        small_spec(encoder_folder), quick_settings(epochs=2, warm_up_epochs=1), device="cpu"
    )
    tokens = prepared(signal, battles)
    rows = np.arange(3, 20)
    found = estimate_fine_tuning(signal, tokens, Outcomes.of(battles), rows)
    assert found.tokens == 3 * sum(len(tokens.a[row]) + len(tokens.b[row]) for row in rows)
    assert found.seconds > 0
    assert found.device == "cpu"
