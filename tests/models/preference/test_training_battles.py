"""Batches hold every battle once an epoch, of equal work, the same for every process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the preference model needs torch")

from featlab.encoder.backbone import load_backbone  # noqa: E402
from featlab.encoder.tokens import Tokenizer  # noqa: E402
from featlab.errors import BattleError  # noqa: E402
from models.preference.training_battles import (  # noqa: E402
    BattleCollator,
    TokenBudgetSampler,
    tokenised,
)
from tests.models.preference.small_encoder import small_spec, telling_battles  # noqa: E402

COSTS = st.lists(st.integers(1, 200), min_size=4, max_size=60).map(np.array)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    small_spec(path)
    return path


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


def test_targets(folder: Path) -> None:
    battles = telling_battles(6).with_columns(
        pl.Series("tie_known", [True, None, False, True, True, True]),
        pl.Series("model_b", [None, *telling_battles(6)["model_b"].to_list()[1:]]),
    )
    soft = pl.DataFrame(
        {
            "id": ["3"],
            "winner_model_a": [0.5],
            "winner_model_b": [0.25],
            "winner_tie": [0.25],
        }
    )
    read = tokenised(battles, Tokenizer(folder, small_spec(folder)), soft)
    assert read.tie_known.tolist() == [True, True, False, True, True, True]
    assert read.names == ("hare", "tortoise")
    assert read.models[0, 1] == -1
    assert np.isnan(read.soft_labels).all(1).tolist() == [True] * 3 + [False] + [True] * 2
    assert read.soft_labels[3].tolist() == [0.5, 0.25, 0.25]
    targets = read.targets(np.array([3, 0]))
    assert targets.labels.tolist() == battles["label"].to_numpy()[[3, 0]].tolist()
    assert targets.models.tolist() == [*read.models[[3, 0], 0], *read.models[[3, 0], 1]]


def test_models_are_not_needed(folder: Path) -> None:
    battles = telling_battles(4).drop("model_a", "model_b")
    read = tokenised(battles, Tokenizer(folder, small_spec(folder)))
    assert read.names == ()
    assert (read.models == -1).all()


def test_unlabelled_battles_are_refused(folder: Path) -> None:
    reader = Tokenizer(folder, small_spec(folder))
    battles = telling_battles(4)
    for broken in (battles.drop("label"), battles.with_columns(label=pl.lit(None, pl.Int8))):
        with pytest.raises(BattleError, match="column 'label' is missing for some battles"):
            tokenised(broken, reader)
    with pytest.raises(BattleError, match="none to learn from"):
        tokenised(battles.clear(), reader)


@pytest.mark.parametrize("attention", ["padded", "blocks"])
def test_a_batch_holds_the_a_sides_and_then_the_b_sides(folder: Path, attention: str) -> None:
    spec = small_spec(folder, attention=attention)
    reader = Tokenizer(folder, spec)
    backbone = load_backbone(spec, folder, torch.device("cpu"), torch.float32, reader.padding)
    read = tokenised(telling_battles(5), reader)
    found = BattleCollator(read, backbone)([4, 1])
    expected = [len(read.a[4]), len(read.a[1]), len(read.b[4]), len(read.b[1])]
    assert found["batch"].lengths.tolist() == expected
    assert found["labels"].tolist() == read.labels[[4, 1]].tolist()
