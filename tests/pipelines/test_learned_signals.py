from pathlib import Path

import polars as pl
import pytest

from featlab.generated import write_battles
from tests.pipelines.conftest import asymmetry, predict, train

SIGNALS = ("text", "lexical", "identity", "embedding", "encoder")
ENCODER = ["--preset", "cpu", "--signals", *SIGNALS, "--encoder.max-tokens", "32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write_battles(folder, 60, 12, seed=2)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained with every signal, on real weights and very short texts."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    store = ["--encoder.store", str(folder / "store")]
    train(data, folder, "--trials", "1", *ENCODER, *store)
    return folder


def test_every_signal_is_out_of_fold_and_in_the_order_of_the_battles(data: Path, run: Path) -> None:
    ids = pl.read_csv(data / "train.csv", infer_schema=False)["id"].to_list()
    for name in SIGNALS:
        frame = pl.read_parquet(run / "signals" / f"{name}.parquet")
        assert frame["id"].to_list() == ids
        assert frame.null_count().sum_horizontal().item() == 0
    assert sorted(path.name for path in (run / "fitted" / "encoder").iterdir()) == ["0", "1", "2"]


def test_the_whole_ensemble_exchanges_probabilities_with_the_sides(
    data: Path, run: Path, tmp_path: Path
) -> None:
    assert asymmetry(run, data / "test.csv", tmp_path) <= 1e-12


def test_the_identity_signal_is_learned_from_names_that_new_battles_lack(
    data: Path, tmp_path: Path
) -> None:
    train(data, tmp_path / "run", "--signals", "identity", "--trials", "1")
    frame = pl.read_parquet(tmp_path / "run" / "signals" / "identity.parquet")
    assert frame["identity__strength_difference"].std() > 0
    assert "model_a" not in pl.read_csv(data / "test.csv").columns
    predict(tmp_path / "run", data / "test.csv", tmp_path / "out.csv")
    assert len(pl.read_csv(tmp_path / "out.csv")) == 12


def test_unchanged_signals_are_not_learned_again(
    data: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--encoder.store", str(run / "store")]
    train(data, run, "--trials", "1", *ENCODER, *store)
    said = capsys.readouterr().err
    for stage in ("text", "folds", "embedding", "encoder", "blend"):
        assert f"{stage}: unchanged, nothing recomputed" in said


def test_extra_battles_train_and_none_of_the_runs_own_prompts_comes_back(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_battles(tmp_path / "more", 40, 4, seed=9)
    own = pl.read_csv(data / "train.csv", infer_schema=False)
    more = pl.read_csv(tmp_path / "more" / "train.csv", infer_schema=False)
    mixed = pl.concat([more, own.head(5)], how="diagonal").with_row_index("new").drop("id")
    mixed.rename({"new": "id"}).write_csv(tmp_path / "mixed.csv")
    arguments = ["--signals", "lexical", "--trials", "1"]
    train(data, tmp_path / "run", *arguments)
    before = pl.read_parquet(tmp_path / "run" / "signals" / "lexical.parquet")
    capsys.readouterr()
    train(data, tmp_path / "run", *arguments, "--extra", f"{tmp_path / 'mixed.csv'}:0.5")
    said = capsys.readouterr().err
    assert "extra battles with ties, weight 0.5" in said
    left_out = int(said.partition(" left out")[0].rpartition(" ")[2])
    assert left_out >= 5
    after = pl.read_parquet(tmp_path / "run" / "signals" / "lexical.parquet")
    assert not after.equals(before)
    assert "folds: unchanged, nothing recomputed" in said

    extra = pl.read_parquet(tmp_path / "run" / "extra.parquet")
    assert len(extra) == len(mixed) - left_out
    assert extra["weight"].unique().to_list() == [0.5]
    assert extra["tie_known"].all()
    assert sorted(extra["fold"].unique()) == [0, 1, 2]
    for name in ("text", "lexical"):
        made = pl.read_parquet(tmp_path / "run" / "signals" / "extra" / f"{name}.parquet")
        assert made["id"].equals(extra["id"])
    own_ids = pl.read_parquet(tmp_path / "run" / "oof.parquet")["id"]
    assert own_ids.to_list() == own["id"].to_list()

    train(data, tmp_path / "run", *arguments, "--extra", f"{tmp_path / 'mixed.csv'}:0.5")
    assert "blend: unchanged, nothing recomputed" in capsys.readouterr().err
    train(data, tmp_path / "run", *arguments)
    assert pl.read_parquet(tmp_path / "run" / "signals" / "lexical.parquet").equals(before)


def test_a_dry_run_estimates_and_trains_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, tmp_path / "run", "--dry-run", *ENCODER)
    said = capsys.readouterr().err
    assert "encoder: about" in said
    assert "estimate, without the search" in said
    assert not (tmp_path / "run" / "bundle").exists()
    assert not (tmp_path / "run" / "fitted").exists()
