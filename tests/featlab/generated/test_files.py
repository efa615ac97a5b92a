from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featlab.battles import read_battles
from featlab.errors import ConfigError
from featlab.generated import (
    RAW_COLUMNS,
    GeneratedBattles,
    WrittenBattles,
    generate_battles,
    make_personas,
    write_battles,
)

FILES = ("test.csv", "test_truth.parquet", "train.csv", "train_truth.parquet")

WRITE = """
import sys
from pathlib import Path
from featlab.generated import write_battles
write_battles(Path(sys.argv[1]), 150, 50, seed=5)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@pytest.fixture(scope="module")
def written(folder: Path) -> WrittenBattles:
    return write_battles(folder, 150, 50, seed=5)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_another_process_writes_the_same_bytes(
    written: WrittenBattles, folder: Path, tmp_path: Path, hash_seed: str
) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "POLARS_MAX_THREADS": "1"}
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=root, timeout=60)
    assert digests(tmp_path) == digests(folder)


def test_folder_holds_these_files_and_nothing_half_written(
    written: WrittenBattles, folder: Path
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_csv_gives_back_what_was_generated(written: WrittenBattles, folder: Path) -> None:
    overrides = {"winner_model_a": pl.Int8, "winner_model_b": pl.Int8, "winner_tie": pl.Int8}
    raw = pl.scan_csv(folder / "train.csv", schema_overrides=overrides).collect()
    assert_frame_equal(raw, written.train.train)
    from_file = read_battles(folder / "train.csv", require_outcome=True).collect()
    frame = read_battles(written.train.train).collect()
    assert_frame_equal(from_file, frame.with_columns(pl.col("id").cast(pl.String)))
    assert from_file["label"].null_count() == 0


def test_test_file_names_no_model_and_no_outcome(written: WrittenBattles, folder: Path) -> None:
    test = pl.read_csv(folder / "test.csv")
    assert test.columns == ["id", "prompt", "response_a", "response_b"]
    assert test.height == 50
    text = (folder / "test.csv").read_text(encoding="utf-8")
    assert not any(persona.name in text for persona in make_personas(5))


def test_truth_files_hold_the_drawn_outcomes(written: WrittenBattles, folder: Path) -> None:
    for name, part in (("train", written.train), ("test", written.test)):
        truth = pl.read_parquet(folder / f"{name}_truth.parquet")
        assert_frame_equal(truth.drop("label"), part.truth)
        labels = read_battles(part.train).select("id", "label").collect()
        assert_frame_equal(truth.select("id", "label"), labels)


def test_lines_end_as_in_the_competitions_files(written: WrittenBattles, folder: Path) -> None:
    data = (folder / "train.csv").read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") == 151


def test_test_battles_continue_the_training_battles(written: WrittenBattles) -> None:
    both = generate_battles(200, 5)
    assert_frame_equal(pl.concat([written.train.train, written.test.train]), both.train)
    assert written.train.train["id"].is_in(written.test.train["id"].implode()).sum() == 0


def test_first_battles_do_not_depend_on_the_count(generated: GeneratedBattles) -> None:
    few = generate_battles(70, 11)
    assert_frame_equal(few.train, generated.train.head(70))
    assert_frame_equal(few.truth, generated.truth.head(70))


def test_another_seed_gives_other_battles(generated: GeneratedBattles) -> None:
    other = generate_battles(70, 12)
    assert (other.train["response_a"] == generated.train["response_a"].head(70)).sum() < 10
    assert other.strengths != generated.strengths


def test_frames_have_the_stated_columns(generated: GeneratedBattles) -> None:
    assert generated.train.columns == list(RAW_COLUMNS)
    assert generated.train["id"].is_unique().all()
    assert generated.train["id"].is_sorted()
    assert (generated.train["model_a"] != generated.train["model_b"]).all()
    assert generated.truth["id"].equals(generated.train["id"])


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (-1, 5)])
def test_no_battles_is_an_error(tmp_path: Path, counts: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        write_battles(tmp_path, *counts, seed=1)
    with pytest.raises(ConfigError, match="at least 1"):
        generate_battles(min(counts[0], 0), seed=1)
    assert list(tmp_path.iterdir()) == []
