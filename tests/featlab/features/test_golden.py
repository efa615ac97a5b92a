"""Values counted by hand, compared exactly."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.features import BattleColumns

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def computed() -> pl.DataFrame:
    battles = read_battles(pl.DataFrame(GOLDEN["battles"]))
    return BattleColumns().compute(battles).collect()


@pytest.mark.parametrize("column", GOLDEN["values"])
def test_counted_by_hand(computed: pl.DataFrame, column: str) -> None:
    by_hand = [float(Fraction(value)) for value in GOLDEN["values"][column]]
    if computed[column].dtype == pl.Float32:
        by_hand = np.array(by_hand, dtype=np.float32).tolist()
    assert computed[column].to_list() == by_hand
