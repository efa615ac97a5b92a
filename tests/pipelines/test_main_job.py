import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from pipelines.features import main as features
from pipelines.run.console import run_command
from pipelines.run.settings import FeatureSettings
from tests.pipelines.conftest import asymmetry, predict, train

STAGES = ["battles", "folds", "text", "lexical", "identity", "kernel", "search", "study", "blend"]


def test_a_run_folder_holds_what_the_contract_lists(trained: Path) -> None:
    for name in (
        "config.toml",
        "manifest.json",
        "battles.parquet",
        "folds.parquet",
        "signals/text.parquet",
        "oof.parquet",
        "metrics.json",
        "study.journal",
        "bundle/manifest.json",
        "report/study.png",
    ):
        assert (trained / name).is_file(), name
    manifest = json.loads((trained / "manifest.json").read_text())
    assert list(manifest["stages"]) == [*STAGES, "metrics"]
    assert all(stage["seconds"] >= 0 for stage in manifest["stages"].values())
    assert "polars" in manifest["versions"]


def test_out_of_fold_predictions_cover_every_battle_once(generated: Path, trained: Path) -> None:
    out_of_fold = pl.read_parquet(trained / "oof.parquet")
    train_ids = pl.read_csv(generated / "train.csv")["id"].cast(pl.String)
    assert out_of_fold.columns == ["id", *PROBABILITIES, "fold", "label"]
    assert out_of_fold["id"].to_list() == train_ids.to_list()
    assert np.allclose(out_of_fold.select(PROBABILITIES).to_numpy().sum(axis=1), 1)
    metrics = json.loads((trained / "metrics.json").read_text())
    labels = out_of_fold["label"].to_numpy()
    chosen = out_of_fold.select(PROBABILITIES).to_numpy()[np.arange(len(labels)), labels]
    reported = metrics["ensemble"]["after_calibration"]["log_loss"]["value"]
    assert -np.log(chosen).mean() == pytest.approx(reported, abs=1e-12)


def test_no_prompt_stands_in_two_folds(trained: Path) -> None:
    folds = pl.read_parquet(trained / "folds.parquet")
    assert folds.group_by("group").agg(pl.col("fold").n_unique())["fold"].max() == 1
    assert folds["group"].is_duplicated().any()


def test_the_same_seed_gives_the_same_bytes(generated: Path, trained: Path, tmp_path: Path) -> None:
    train(generated, tmp_path / "again")
    for run, out in ((trained, "first.csv"), (tmp_path / "again", "second.csv")):
        predict(run, generated / "test.csv", tmp_path / out)
    assert (trained / "oof.parquet").read_bytes() == (tmp_path / "again/oof.parquet").read_bytes()
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_an_exchanged_test_file_gets_the_exchanged_submission(
    generated: Path, trained: Path, tmp_path: Path
) -> None:
    assert asymmetry(trained, generated / "test.csv", tmp_path) <= 1e-12


def test_submitting_needs_no_training_data(generated: Path, trained: Path, tmp_path: Path) -> None:
    """In its own process, in an empty folder, with the bundle alone."""
    run = tmp_path / "run"
    (run / "bundle").parent.mkdir(parents=True)
    (run / "bundle").symlink_to(trained / "bundle")
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pipelines.submit", "--run", str(run)),
            *("--test", str(generated / "test.csv"), "--out", str(tmp_path / "out.csv")),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(pl.read_csv(tmp_path / "out.csv")) == 60


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ("id,prompt,response_a\n1,a,b\n", ["response_b"]),
        ('id,prompt,response_a,response_b\n7,"[""a""","[]","[]"\n', ["prompt", "JSON", "7"]),
        ("id,prompt,response_a,response_b\n1,[],[],[]\n1,[],[],[]\n", ["id", "duplicates", "1"]),
    ],
)
def test_a_bad_test_file_ends_in_one_sentence_and_status_2(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    words: list[str],
) -> None:
    test = tmp_path / "test.csv"
    test.write_text(content)
    with pytest.raises(SystemExit) as caught:
        predict(trained, test, tmp_path / "out.csv")
    assert caught.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert printed.count("\n") == 0
    assert all(word in printed for word in words)
    assert not (tmp_path / "out.csv").exists()


def test_an_outcome_that_is_not_one_hot_stops_training_with_the_rows(
    generated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.read_csv(generated / "train.csv")
    wrong = frame.with_columns(
        winner_tie=pl.when(pl.int_range(pl.len()) == 3).then(1).otherwise("winner_tie"),
        winner_model_a=pl.when(pl.int_range(pl.len()) == 3).then(1).otherwise("winner_model_a"),
    )
    (tmp_path / "data").mkdir()
    wrong.write_csv(tmp_path / "data" / "train.csv")
    with pytest.raises(SystemExit) as caught:
        train(tmp_path / "data", tmp_path / "run")
    assert caught.value.code == 2
    assert str(frame["id"][3]) in capsys.readouterr().err


def test_missing_data_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train(tmp_path, tmp_path / "run")
    assert caught.value.code == 2
    assert "make data" in capsys.readouterr().err


def test_the_list_of_features_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(features, FeatureSettings, "features", ["--list"])
    printed = capsys.readouterr().out
    assert "distinct_word_share" in printed
    assert "different words for each word" in printed


def test_a_budget_leaves_out_what_it_has_no_time_for(
    generated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(generated, tmp_path, "--trials", "50", "--repeats", "3", "--budget", "1s")
    shown = capsys.readouterr().err
    assert "budget: 1 of 50 trials" in shown
    assert "budget: 1 of 3 repeats" in shown
    assert (tmp_path / "bundle").is_dir()
    with pytest.raises(SystemExit) as ended:
        train(generated, tmp_path, "--budget", "soon")
    assert ended.value.code == 2
