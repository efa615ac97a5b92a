from pathlib import Path

import polars as pl
import pytest

from featlab.features import BattleColumns
from featlab.generated import generate_battles
from featlab.shards import FeatureShards

SHARDS = 4
COLUMNS = BattleColumns(families=["verbosity", "overlap"])


@pytest.fixture
def task() -> FeatureShards:
    return FeatureShards(COLUMNS)


@pytest.fixture(scope="session")
def battles() -> pl.DataFrame:
    """Battles in the columns of a file."""
    return generate_battles(60, seed=3).train


@pytest.fixture
def sources(battles: pl.DataFrame, tmp_path: Path) -> list[Path]:
    """The battles in files of 15, parquet and CSV in turn."""
    folder = tmp_path / "in"
    folder.mkdir()
    paths = []
    for number in range(SHARDS):
        part = battles.slice(number * 15, 15)
        path = folder / f"part{number}.{('parquet', 'csv')[number % 2]}"
        (part.write_csv if path.suffix == ".csv" else part.write_parquet)(path)
        paths.append(path)
    return paths


def shard_bytes(folder: Path) -> dict[str, bytes]:
    """Name -> content of every shard."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
