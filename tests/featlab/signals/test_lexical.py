from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles, swap_battles
from featlab.generated import generate_battles
from featlab.parity import Parity, swap
from featlab.signals.lexical.signal import LexicalSignal


@pytest.fixture(scope="module")
def battles() -> pl.DataFrame:
    return read_battles(generate_battles(160, seed=4).train).collect()


@pytest.fixture(scope="module")
def signal(battles: pl.DataFrame) -> LexicalSignal:
    return LexicalSignal(seed=1).fit(battles.head(120))


def test_exchanging_the_sides_exchanges_the_columns_exactly(
    signal: LexicalSignal, battles: pl.DataFrame
) -> None:
    held_out = battles.tail(40)
    given = signal.transform(held_out)
    assert {Parity.ODD, Parity.EVEN} == set(signal.parity().values())
    assert signal.transform(swap_battles(held_out)).equals(swap(given, signal.parity()))
    assert given["lexical_char__margin"].abs().max() > 0


def test_only_the_texts_are_read(signal: LexicalSignal, battles: pl.DataFrame) -> None:
    held_out = battles.tail(40)
    without = held_out.drop("label", "model_a", "model_b")
    assert signal.transform(without).equals(signal.transform(held_out))


def test_a_battle_is_told_alike_in_any_company(
    signal: LexicalSignal, battles: pl.DataFrame
) -> None:
    held_out = battles.tail(40)
    order = np.random.default_rng(0).permutation(40)
    assert signal.transform(held_out[order]).equals(signal.transform(held_out)[order])


def test_it_loads_as_it_was_saved(
    signal: LexicalSignal, battles: pl.DataFrame, tmp_path: Path
) -> None:
    signal.save(tmp_path)
    held_out = battles.tail(40)
    assert LexicalSignal.load(tmp_path).transform(held_out).equals(signal.transform(held_out))
