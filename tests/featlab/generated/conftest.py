from __future__ import annotations

import polars as pl
import pytest

from featlab.battles import joined_turns, read_battles
from featlab.generated import GeneratedBattles, generate_battles

SEED = 11


@pytest.fixture(scope="session")
def generated() -> GeneratedBattles:
    return generate_battles(6_000, SEED)


@pytest.fixture(scope="session")
def battles(generated: GeneratedBattles) -> pl.DataFrame:
    """The generated battles as any reader of the file sees them, texts joined too."""
    return (
        read_battles(generated.train)
        .with_columns(
            joined_turns("response_a").alias("text_a"), joined_turns("response_b").alias("text_b")
        )
        .collect()
    )
