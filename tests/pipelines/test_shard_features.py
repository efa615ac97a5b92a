from pathlib import Path

import polars as pl
import pytest

from pipelines.features import main as compute_features
from pipelines.run.console import run_command
from pipelines.run.settings import FeatureSettings
from pipelines.shard_features import ShardSettings, main


def run(*arguments: str) -> None:
    run_command(main, ShardSettings, "shards", ["--families", '["verbosity"]', *arguments])


def test_shards_hold_the_rows_of_the_single_file_run(generated: Path, tmp_path: Path) -> None:
    raw = pl.read_csv(generated / "train.csv")
    (tmp_path / "in").mkdir()
    for number, part in enumerate(raw.iter_slices(100)):
        part.write_parquet(tmp_path / "in" / f"{number}.parquet")
    run("--shards", str(tmp_path / "in" / "*.parquet"), "--out", str(tmp_path / "out"))

    single = FeatureSettings(data=generated, run=tmp_path / "run", families=["verbosity"])
    compute_features(single)
    expected = pl.read_parquet(tmp_path / "run" / "signals" / "text.parquet")
    shards = pl.read_parquet(tmp_path / "out" / "*.parquet")
    assert shards["id"].equals(raw["id"])
    # The shards are parquet, whose ids are numbers; those of a CSV are text.
    as_text = shards.with_columns(pl.col("id").cast(pl.String))
    assert as_text.select(expected.columns).equals(expected)


def test_a_bad_shard_is_named_with_status_2_and_the_others_kept(
    generated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.read_csv(generated / "train.csv").write_parquet(tmp_path / "good.parquet")
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(SystemExit) as caught:
        run("--shards", str(tmp_path / "*.parquet"), "--out", str(tmp_path / "out"))
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "1 of 2 shards failed" in error
    assert "bad.parquet" in error
    assert pl.read_parquet(tmp_path / "out" / "good.parquet").height == 240
