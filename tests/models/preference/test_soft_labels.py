"""A teacher's probabilities, joined by id."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from featlab.errors import BattleError
from models.preference.encoder_signal import teacher_probabilities


def test_they_are_joined_by_id(tmp_path: Path) -> None:
    path = tmp_path / "soft.csv"
    stated = [[7, 9], [0.5, 0.2], [0.3, 0.2], [0.2, 0.6]]
    pl.DataFrame(stated, ["id", *PROBABILITIES]).write_csv(path)
    found = teacher_probabilities(path, pl.Series(["9", "8", "7"]))
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert found[2].tolist() == [0.5, 0.3, 0.2]
    with pytest.raises(BattleError, match="a soft label for none of the battles"):
        teacher_probabilities(path, pl.Series(["1", "2"]))
