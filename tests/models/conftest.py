import numpy as np
import polars as pl
import pytest

from featlab.parity import Parity
from models.stacking.table import StackingData
from models.stacking.trees import BoostingParameters

QUICK = BoostingParameters(
    learning_rate=0.2, num_leaves=4, min_data_in_leaf=10, max_rounds=30, patience=5
)


def make_data(count: int = 300, seed: int = 0, folds: int = 3) -> StackingData:
    """Battles decided by an odd column, tied where an even one is small."""
    generator = np.random.default_rng(seed)
    odd, even = generator.normal(size=count), generator.random(count)
    labels = np.where(even < 0.3, 2, np.where(odd + generator.normal(size=count) > 0, 0, 1))
    frame = pl.DataFrame(
        {
            "x__difference": odd,
            "x__sum": even,
            "response_a__noise": generator.normal(size=count),
            "response_b__noise": generator.normal(size=count),
        }
    ).cast(pl.Float32)
    parity = {
        "x__difference": Parity.ODD,
        "x__sum": Parity.EVEN,
        "response_a__noise": Parity.SIDE,
        "response_b__noise": Parity.SIDE,
    }
    return StackingData(frame, parity, labels.astype(np.int64), np.arange(count) % folds)


@pytest.fixture
def data() -> StackingData:
    return make_data()
