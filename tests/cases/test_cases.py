"""Small inputs that people have met, each as the command takes it, and what comes of it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from featlab.battles import PROBABILITIES
from featlab.errors import FeatlabError
from featlab.files import read_json
from models.stacking.search import open_study
from pipelines.run.settings import SubmitSettings
from pipelines.submit import main as submit
from tests.cases.conftest import features_of, trained

IDS = [
    "ids_leading_zeros.csv",
    "ids_quoted_all.csv",
    "ids_decimal_text.csv",
    "ids_exponent_overflow.csv",
    "ids_007_and_7.csv",
    "ids_hash_like_1e5.csv",
    "ids_40_digits.csv",
    "ids_numbers_then_text.csv",
    "ids_ints_then_decimal.csv",
]
LAYOUTS = ["layout_arena_140k", "layout_hh_rlhf", "layout_rewardbench"]
WORDS = ["flat_bothbad", "flat_012", "train_outcome_1.00", "train_outcome_spaces"]
DAMAGED = [
    *("panic_1.parquet", "panic_2.parquet", "panic_4.parquet", "panic_5.parquet"),
    *("panic_6.parquet", "bytes_0.csv", "bytes_1.csv", "bytes_2.csv", "explainer_fails.csv"),
]


def submission(run: Path, test: Path, folder: Path) -> list[dict[str, str]]:
    """What `submit` writes, as text."""
    out = folder / "submission.csv"
    submit(SubmitSettings(run=run, test=test, out=out))
    with out.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def ids_of(rows: list[dict[str, str]]) -> list[str]:
    return [row["id"] for row in rows]


def refusal(run: Path, test: Path, folder: Path) -> str:
    """The one sentence that `submit` ends in."""
    with pytest.raises(FeatlabError) as caught:
        submission(run, test, folder)
    assert not (folder / "submission.csv").exists()
    assert "\n" not in str(caught.value)
    assert str(test) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", IDS)
def test_ids_come_out_as_they_are_written(
    name: str, cases: Path, arena_run: Path, tmp_path: Path
) -> None:
    with (cases / name).open(encoding="utf-8", newline="") as stream:
        expected = ids_of(list(csv.DictReader(stream)))
    assert ids_of(submission(arena_run, cases / name, tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("csv_winner_cols_empty_in_test.csv", ["1", "2"]),
        ("csv_one_winner_col_in_test.csv", ["1"]),
        ("csv_blank_last_lines.csv", ["1"]),
        ("prompt_categorical.parquet", ["a", "b"]),
        ("conversation_json_strings.csv", ["1", "2"]),
    ],
)
def test_test_files_are_predicted(
    name: str, ids: list[str], cases: Path, arena_run: Path, tmp_path: Path
) -> None:
    rows = submission(arena_run, cases / name, tmp_path)
    assert ids_of(rows) == ids
    assert list(rows[0]) == ["id", *PROBABILITIES]


@pytest.mark.parametrize("name", ["test_with_winner_both_bad.parquet", "wsdm_test.parquet"])
def test_two_outcomes_have_the_cups_own_form(
    name: str, cases: Path, wsdm_run: Path, tmp_path: Path
) -> None:
    rows = submission(wsdm_run, cases / name, tmp_path)
    assert list(rows[0]) == ["id", "winner"]
    assert ids_of(rows) == ["1", "2"]
    assert {row["winner"] for row in rows} <= {"model_a", "model_b"}


def test_two_outcomes_are_two_everywhere(wsdm_run: Path, cases: Path, tmp_path: Path) -> None:
    assert read_json(wsdm_run / "bundle" / "manifest.json")["outcomes"] == ["a", "b"]
    out_of_fold = pl.read_parquet(wsdm_run / "oof.parquet")
    assert "winner_tie" not in out_of_fold.columns
    stated = out_of_fold.select(PROBABILITIES[:2]).to_numpy()
    assert np.allclose(stated.sum(axis=1), 1)
    metrics = read_json(wsdm_run / "metrics.json")
    calibrated = metrics["ensemble"]["after_calibration"]
    assert metrics["prior"]["log_loss"]["value"] == pytest.approx(np.log(2))
    assert set(calibrated["per_class_log_loss"]) == {"a", "b"}
    labels = out_of_fold["label"].to_numpy()
    pairs = stated[labels == 0, 0][:, None] - stated[labels == 1, 0]
    assert calibrated["auc"] == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    out = tmp_path / "named.csv"
    asked = {"run": wsdm_run, "test": cases / "wsdm_test.parquet", "out": out}
    submit(SubmitSettings(**asked, out_columns=["p_a", "p_b"]))
    assert pl.read_csv(out).columns == ["id", "p_a", "p_b"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_cut_after_id.csv", r"cut short: line 3\b"),
        ("test_cut_after_prompt.csv", r"cut short: line 3\b"),
        ("test_cut_after_comma.csv", r"cut short: line 3\b"),
        ("id_list.parquet", r"column 'id' holds List\(Int64\)"),
        ("binary_text.parquet", r"column 'prompt' holds Binary"),
        ("json_special2.csv", r"column 'response_a' .*first ids: 1\b"),
    ],
)
def test_what_is_wrong_is_named(
    name: str, said: str, cases: Path, arena_run: Path, tmp_path: Path
) -> None:
    assert re.search(said, refusal(arena_run, cases / name, tmp_path))


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_end_in_one_sentence(
    name: str, cases: Path, arena_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = cases / "damaged" / name
    refusal(arena_run, source, tmp_path)
    with pytest.raises(FeatlabError, match=re.escape(str(source))) as caught:
        features_of(tmp_path / "run", source)
    assert "\n" not in str(caught.value)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_train_and_predict(name: str, cases: Path, tmp_path: Path) -> None:
    data = cases / name
    run = trained(tmp_path / "run", data)
    outcomes = read_json(run / "bundle" / "manifest.json")["outcomes"]
    rows = submission(run, data / "train.parquet", tmp_path)
    assert len(rows) == pl.read_parquet(data / "train.parquet").height
    assert list(rows[0]) == ["id", *PROBABILITIES[: len(outcomes)]]
    labels = pl.read_parquet(run / "oof.parquet")["label"]
    assert 0.3 < (labels.filter(labels < 2) == 0).mean() < 0.7


@pytest.mark.parametrize("name", WORDS)
def test_words_and_numbers_of_outcomes(name: str, cases: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, cases / name)
    assert pl.read_parquet(run / "oof.parquet")["label"].n_unique() == 3


def test_battles_without_prompts_are_groups_of_their_own(cases: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, cases / "prompt_always_empty")
    assert pl.read_parquet(run / "folds.parquet")["group"].n_unique() > 250
    loss = read_json(run / "metrics.json")["ensemble"]["after_calibration"]["log_loss"]
    assert loss["low"] < loss["value"] < loss["high"]


@pytest.mark.parametrize("name", ["extra_wsdm_layout.parquet", "extra_bothbad.parquet"])
def test_extra_files_in_their_own_layouts(name: str, cases: Path, tmp_path: Path) -> None:
    run = trained(tmp_path, cases / "train_outcome_1.00", extra=[str(cases / name)])
    assert pl.read_parquet(run / "extra.parquet").height > 150


@pytest.mark.parametrize(
    "name", ["optuna_journal_torn_tail.journal", "optuna_journal_torn_mid_trial.journal"]
)
def test_torn_journals_keep_their_trials_and_go_on(
    name: str, cases: Path, arena_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("models.stacking.search.note", said.append)
    run = tmp_path / "run"
    shutil.copytree(arena_run, run)
    journal = run / "study.journal"
    shutil.copyfile(cases / name, journal)
    study = json.loads(journal.read_bytes().splitlines()[0])["study_name"]
    trained(run, cases / "train_outcome_1.00", trials=2)
    assert "bytes" in said[0]
    assert len(open_study(journal, study).trials) == 3
    own = read_json(run / "search.json")["study"]
    assert len(open_study(journal, own).trials) == 2
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_torn_manifest_is_remade(cases: Path, arena_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(arena_run, run)
    shutil.copyfile(cases / "run_manifest_torn.json", run / "manifest.json")
    trained(run, cases / "train_outcome_1.00")
    assert read_json(run / "manifest.json")["stages"].keys() >= {"battles", "blend", "metrics"}
    for name in ("oof.parquet", "metrics.json"):
        assert (run / name).read_bytes() == (arena_run / name).read_bytes()


def test_every_input_of_the_folder_is_tried(cases: Path) -> None:
    there = {path.name for path in cases.iterdir()} - {"README.md", "damaged"}
    there |= {path.name for path in (cases / "damaged").iterdir()}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    assert [name for name in sorted(there) if f'"{name}"' not in tests] == []
