"""Shards are what one pass over all rows gives, are made once, and survive kills and bad files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from featlab.battles import read_battles
from featlab.errors import ConfigError, WeightsError
from featlab.features import BattleColumns
from featlab.files import file_fingerprint, read_json
from featlab.progress import Progress
from featlab.shards import (
    EmbeddingShards,
    FeatureShards,
    ShardError,
    ShardReport,
    find_sources,
    make_shards,
)
from featlab.shards.making import plan_shards
from tests.featlab.hash_encoder import SPEC, HashEncoder, hashed
from tests.featlab.shards.conftest import COLUMNS, shard_bytes

ROOT = Path(__file__).parents[3]


def kept(report: ShardReport) -> list[bool]:
    return [made.kept for made in report.made]


def read_all(report: ShardReport, folder: Path) -> pl.DataFrame:
    # Ids of a CSV are text, those of a parquet numbers.
    number = pl.col("id").cast(pl.Int64)
    return pl.concat(
        [pl.read_parquet(folder / made.name).with_columns(number) for made in report.made]
    )


def test_shards_hold_what_one_pass_over_all_rows_gives(
    sources: list[Path], battles: pl.DataFrame, task: FeatureShards, tmp_path: Path
) -> None:
    report = make_shards(sources, tmp_path / "out", task)
    expected = COLUMNS.compute(read_battles(battles)).collect()
    assert read_all(report, tmp_path / "out").equals(expected)
    assert report.rows == len(battles)
    assert not report.failed


def test_two_runs_write_the_same_bytes(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        make_shards(sources, tmp_path / name, task)
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "two")
    assert len(shard_bytes(tmp_path / "one")) == len(sources)


def test_a_second_run_makes_only_what_changed(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert kept(make_shards(sources, out, task)) == [False] * 4
    assert kept(make_shards(sources, out, task)) == [True] * 4

    pl.read_parquet(sources[0]).head(7).write_parquet(sources[0])
    again = make_shards(sources, out, task)
    assert kept(again) == [False, True, True, True]
    assert again.made[0].rows == 7

    other = FeatureShards(BattleColumns(families=["verbosity"]))
    assert kept(make_shards(sources, out, other)) == [False] * 4
    assert kept(make_shards(sources, out, other, code="changed")) == [False] * 4


def test_a_torn_or_missing_shard_or_record_is_made_again(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make_shards(sources, out, task)
    whole = shard_bytes(out)
    torn = out / "part0.parquet"
    torn.write_bytes(torn.read_bytes()[:-100])
    (out / "part1.parquet").unlink()
    (out / "records" / "part2.json").write_text('{"key": ')
    assert kept(make_shards(sources, out, task)) == [False, False, False, True]
    assert shard_bytes(out) == whole


def test_bad_files_are_named_and_the_others_made(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make_shards(sources, out, task)
    sources[0].write_bytes(b"PAR1 and no more")
    frame = pl.read_csv(sources[1])
    frame.with_columns(prompt=pl.lit('["torn')).write_csv(sources[1])
    pl.concat([pl.read_parquet(sources[2])] * 2).write_parquet(sources[2])
    report = make_shards([*sources, tmp_path / "in" / "gone.csv"], out, task)

    assert [made.error is None for made in report.made] == [False, False, False, True, False]
    assert set(shard_bytes(out)) == {"part3.parquet"}
    with pytest.raises(ShardError, match="4 of 5 shards failed") as caught:
        report.raise_failed()
    message = str(caught.value)
    for source in (*sources[:3], "gone.csv"):
        assert str(source) in message
    assert "column 'prompt' is not a JSON list" in message
    assert "holds duplicates" in message

    manifest = read_json(out / "manifest.json")
    assert manifest["failed"] == 4
    assert "error" in manifest["shards"][0]


def test_the_manifest_says_what_lies_there(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make_shards(sources, out, task)
    manifest = read_json(out / "manifest.json")
    assert manifest["rows"] == 60
    for entry, source in zip(manifest["shards"], sources, strict=True):
        assert entry["source"] == str(source)
        assert entry["sha256"] == file_fingerprint(out / entry["name"])


def test_progress_ends_at_the_whole(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    told: list[Progress] = []
    make_shards(sources, tmp_path / "out", task, on_progress=told.append)
    assert [state.done for state in told] == [1, 2, 3, 4]
    assert told[-1].share == pytest.approx(1)
    assert 0 < told[0].share < 1


def test_sources_of_the_same_name_keep_apart_or_are_refused(tmp_path: Path) -> None:
    shards = plan_shards([tmp_path / "x" / "1.csv", tmp_path / "y" / "1.csv"], tmp_path / "out")
    assert [shard.name for shard in shards] == ["x/1.parquet", "y/1.parquet"]
    with pytest.raises(ConfigError, match="would both become"):
        plan_shards([tmp_path / "1.csv", tmp_path / "1.parquet"], tmp_path / "out")
    with pytest.raises(ConfigError, match="replace its own source"):
        plan_shards([tmp_path / "1.parquet"], tmp_path)
    with pytest.raises(ConfigError, match="must not be called 'records'"):
        plan_shards([tmp_path / "records" / "1.csv", tmp_path / "2.csv"], tmp_path / "out")


def test_a_pattern_finds_files_in_order_and_nothing_else(
    sources: list[Path], tmp_path: Path
) -> None:
    assert find_sources(str(tmp_path / "**" / "part*")) == sources
    with pytest.raises(ConfigError, match="no file matches"):
        find_sources(str(tmp_path / "*.parquet"))
    (tmp_path / "in" / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"notes\.txt is neither"):
        find_sources(str(tmp_path / "in" / "*"))


def test_a_killed_run_goes_on_and_ends_at_the_same_bytes(
    sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    script = f"""
import time
from pathlib import Path
from featlab.features import BattleColumns
from featlab.shards import FeatureShards, make_shards
class Slow(FeatureShards):
    def write(self, source, target):
        super().write(source, target)
        time.sleep(60 if "part2" in source.name else 0)
sources = [Path(name) for name in {[str(source) for source in sources]}]
columns = BattleColumns(families=["verbosity", "overlap"])
make_shards(sources, Path({str(tmp_path / "out")!r}), Slow(columns))
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "records" / "part1.json").is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    report = make_shards(sources, tmp_path / "out", task)
    assert kept(report) == [True, True, False, False]
    make_shards(sources, tmp_path / "whole", task)
    assert shard_bytes(tmp_path / "out") == shard_bytes(tmp_path / "whole")


def test_embedding_shards_hold_the_vector_of_every_text_by_one_loaded_encoder(
    sources: list[Path], battles: pl.DataFrame, tmp_path: Path
) -> None:
    encoder = HashEncoder()
    task = EmbeddingShards(("response_a", "response_b"), spec=SPEC, load_encoder=encoder)
    report = make_shards(sources, tmp_path / "out", task)
    report.raise_failed()
    frame = read_all(report, tmp_path / "out")
    assert frame.columns == ["id", "response_a", "response_b"]
    assert frame["id"].equals(battles["id"])
    turns = read_battles(battles).collect()["response_a"]
    expected = [hashed("\n\n".join(text)).tolist() for text in turns]
    assert frame["response_a"].to_list() == expected
    assert encoder.loaded == 1


def test_what_no_shard_can_do_without_ends_the_run(sources: list[Path], tmp_path: Path) -> None:
    def no_weights(*_: object) -> HashEncoder:
        raise WeightsError("there are no weights")

    task = EmbeddingShards(spec=SPEC, load_encoder=no_weights)
    with pytest.raises(WeightsError, match="no weights"):
        make_shards(sources, tmp_path / "out", task)


def test_another_encoder_or_reading_is_another_task() -> None:
    task = EmbeddingShards(spec=SPEC)
    others = [replace(task, read=("prompt",)), replace(task, spec=replace(SPEC, max_tokens=9))]
    assert len({other.fingerprint() for other in [task, *others]}) == 3
