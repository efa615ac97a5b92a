"""What every test may use: the real battles where they are at hand, and hand-made ones."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, settings

from featlab.threads import wait_passively

REAL_DATA = "FEATLAB_TEST_DATA"

wait_passively()

# Slow shared machines must not make a property flaky, nor two runs differ.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the competition's files, named by an environment variable."""
    folder = os.environ.get(REAL_DATA)
    if not folder:
        pytest.skip(f"{REAL_DATA} does not name a folder with real battles")
    return Path(folder)


@pytest.fixture
def raw_battles() -> pl.DataFrame:
    """Four battles as a training file has them: a, b, tie, and a null in each text."""
    return pl.DataFrame(
        {
            "id": [30192, 53567, 65089, 96401],
            "model_a": ["gpt-4", "vicuna", "llama", None],
            "model_b": ["palm", "gpt-4", "palm", None],
            "prompt": ['["Hi", "And?"]', '["Is \\"it\\" so?"]', r'["caf\u00e9\n"]', "[null]"],
            "response_a": ['["Hello.", "Well."]', '["Yes!"]', '["- one\\n- two"]', None],
            "response_b": ['["Go away", null]', '["No."]', "[]", "null"],
            "winner_model_a": [1, 0, 0, 0],
            "winner_model_b": [0, 1, 0, 0],
            "winner_tie": [0, 0, 1, 1],
        }
    )
