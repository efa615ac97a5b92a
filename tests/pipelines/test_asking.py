"""Commands that ask a trained run: predict, explain, evaluate, compare, runs."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import models
from featlab.battles import PROBABILITIES
from featlab.generated import generate_battles
from pipelines import compare, evaluate, explain, predict, runs
from pipelines.run.console import run_command
from tests.models.small_run import make_run

COMMANDS = {
    "predict": (predict.main, predict.PredictSettings),
    "explain": (explain.main, explain.ExplainSettings),
    "evaluate": (evaluate.main, evaluate.EvaluateSettings),
    "compare": (compare.main, compare.CompareSettings),
    "runs": (runs.main, runs.RunsSettings),
}
PAIR = ("Is it so?", "I'm sorry, I cannot say.", "Yes!")
ASKED = ["--prompt", PAIR[0], "--response-a", PAIR[1], "--response-b", PAIR[2]]


def call(command: str, *arguments: str) -> None:
    run_command(*COMMANDS[command], f"python -m pipelines.{command}", list(arguments))


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    return generate_battles(120, seed=8).train


@pytest.fixture(scope="module")
def run(raw: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(raw, tmp_path_factory.mktemp("run"))


def write_run(
    folder: Path,
    ids: list[int],
    loss: float,
    trials: int,
    column: str | None = "id",
    data: str = "0",
) -> None:
    """A run folder as the commands read it, that gives what happened a known probability."""
    labels = np.arange(len(ids)) % 3
    stated = np.full((len(ids), 3), (1 - np.exp(-loss)) / 2)
    stated[np.arange(len(ids)), labels] = np.exp(-loss)
    columns = {name: stated[:, index] for index, name in enumerate(PROBABILITIES)}
    (folder / "bundle").mkdir(parents=True)
    frame = pl.DataFrame({"id": ids, **columns, "fold": 0, "label": labels})
    frame.write_parquet(folder / "oof.parquet")
    folds = pl.DataFrame({"id": ids, "fold": 0, "group": ids, "label": labels})
    folds.write_parquet(folder / "folds.parquet")
    (folder / "config.toml").write_text(f"trials = {trials}\nrun = '{folder}'\n")
    made = {"made_from": {"inputs": {"train.csv": data}, "code": str(trials), "values": ""}}
    stages = {
        name: {**made, "outputs": {}, "seconds": 1.0} for name in ("battles", "folds", "blend")
    }
    manifest = {"versions": {"polars": "1"}, "stages": {**stages, "metrics": stages["folds"]}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    value = {"value": loss, "low": loss - 0.01, "high": loss + 0.01}
    ensemble = {"after_calibration": {"log_loss": value, "battles": len(ids)}}
    (folder / "metrics.json").write_text(json.dumps({"ensemble": ensemble}))
    bundle = {"signals": {"text": "text"}, "schema": {"id": column}}
    (folder / "bundle" / "manifest.json").write_text(json.dumps(bundle))


def test_one_battle_is_predicted_and_explained_as_in_the_library(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = models.load(run).predict_one(*PAIR)
    call("predict", "--run", str(run), *ASKED)
    words = capsys.readouterr().out.split()
    assert words[::2] == ["a", "b", "tie"]
    assert [float(word) for word in words[1::2]] == pytest.approx(tuple(one), abs=1e-4)
    call("explain", "--run", str(run), *ASKED)
    assert capsys.readouterr().out.strip() == str(models.load(run).explain(*PAIR))


def test_csv_parquet_json_lines_and_standard_input_are_one(
    run: Path,
    raw: pl.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    battles = raw.select("id", "prompt", "response_a", "response_b").head(4)
    battles.write_csv(tmp_path / "x.csv")
    battles.write_parquet(tmp_path / "x.parquet")
    battles.write_ndjson(tmp_path / "x.jsonl")
    outputs = []
    for suffix in ("csv", "parquet", "jsonl"):
        call("predict", "--run", str(run), "--file", str(tmp_path / f"x.{suffix}"))
        said = capsys.readouterr()
        outputs.append(said.out)
        assert "the texts of 4 stand in the training data" in said.err
        given = SimpleNamespace(buffer=io.BytesIO((tmp_path / f"x.{suffix}").read_bytes()))
        if suffix != "parquet":
            monkeypatch.setattr(sys, "stdin", given)
            call("predict", "--run", str(run), "--file", "-", "--out", str(tmp_path / "out.csv"))
            outputs.append((tmp_path / "out.csv").read_text())
            capsys.readouterr()
    assert len(set(outputs)) == 1
    assert outputs[0].splitlines()[0] == ",".join(["id", *PROBABILITIES])
    call("explain", "--run", str(run), "--file", str(tmp_path / "x.jsonl"))
    reasons = pl.read_csv(io.StringIO(capsys.readouterr().out))
    predicted = pl.read_csv(io.StringIO(outputs[0]))
    margins = (predicted["winner_model_a"] - predicted["winner_model_b"]).to_list()
    summed = reasons.group_by("id", maintain_order=True).agg(pl.col("margin").sum())
    assert summed["margin"].to_list() == pytest.approx(margins)


def test_plain_texts_need_no_ids_and_no_json(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dict(zip(("prompt", "response_a", "response_b"), PAIR, strict=True))
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
    call("predict", "--run", str(run), "--file", str(tmp_path / "x.jsonl"))
    stated = pl.read_csv(io.StringIO(capsys.readouterr().out)).row(0)[1:]
    assert stated == pytest.approx(tuple(models.load(run).predict_one(*PAIR)))


@pytest.mark.parametrize("arguments", [[], ASKED[:2], [*ASKED, "--file", "x.csv"]])
def test_half_a_battle_or_two_sources_are_refused(
    run: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call("predict", "--run", str(run), *arguments)
    assert ended.value.code == 2
    assert "give one battle by" in capsys.readouterr().err


def test_a_labelled_file_is_measured_whole_and_by_slice(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate_battles(90, seed=77).train.write_csv(tmp_path / "x.csv")
    out = tmp_path / "metrics.json"
    call("evaluate", "--run", str(run), "--file", str(tmp_path / "x.csv"), "--out", str(out))
    said, found = capsys.readouterr(), json.loads(out.read_text())
    assert "the texts of 0" in said.err or "none of 90" in said.err
    loss = found["log_loss"]
    assert f"{loss['value']:.4f}    {loss['low']:.4f} to {loss['high']:.4f}" in said.out
    by_outcome = [row for row in found["slices"] if row["dimension"] == "outcome"]
    total = sum(row["battles"] for row in by_outcome)
    mean = sum(row["log_loss"] * row["battles"] for row in by_outcome) / total
    assert total == 90
    assert mean == pytest.approx(loss["value"])


def test_too_few_battles_are_said_in_place_of_a_figure(
    run: Path, raw: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw.head(8).write_csv(tmp_path / "x.csv")
    with pytest.raises(SystemExit):
        call("evaluate", "--run", str(run), "--file", str(tmp_path / "x.csv"))
    said = capsys.readouterr()
    assert "too few for a figure" in said.err
    assert not said.out


def test_runs_are_compared_on_the_battles_that_they_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "first", list(range(60)), 0.9, trials=5)
    write_run(tmp_path / "second", list(range(48)), 0.7, trials=9)
    call("compare", str(tmp_path / "first"), str(tmp_path / "second"))
    said = capsys.readouterr().out
    assert "48 battles shared, of 60, 48" in said
    assert "-0.2000  -0.2000 to -0.2000" in said
    assert "setting trials: 5 -> 9" in said
    assert "code: of battles, folds, blend" in said
    assert "setting run" not in said
    assert "data:" not in said


def test_runs_without_ties_are_compared_with_runs_that_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "three", list(range(60)), 0.9, trials=5)
    write_run(tmp_path / "two", list(range(60)), 0.7, trials=5)
    for name in ("oof", "folds"):
        file = tmp_path / "two" / f"{name}.parquet"
        kept = pl.read_parquet(file).filter(pl.col("label") < 2)
        kept.drop("winner_tie", strict=False).write_parquet(file)
    for first, second in (("three", "two"), ("two", "three"), ("two", "two")):
        call("compare", str(tmp_path / first), str(tmp_path / second))
        assert "40 battles shared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "files", "compared"),
    [
        ((None, None), ("0", "1"), False),
        (("id", None), ("0", "1"), False),
        (("id", None), ("0", "0"), False),
        ((None, None), ("0", "0"), True),
        (("id", "id"), ("0", "1"), True),
    ],
)
def test_numbers_of_rows_pair_battles_of_one_file_only(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: tuple[str | None, str | None],
    files: tuple[str, str],
    compared: bool,
) -> None:
    for name, column, data in zip(("first", "second"), columns, files, strict=True):
        write_run(tmp_path / name, list(range(60)), 0.9, 5, column, data)
    runs = [str(tmp_path / "first"), str(tmp_path / "second")]
    if compared:
        call("compare", *runs)
        assert "60 battles shared" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit) as ended:
        call("compare", *runs)
    assert ended.value.code == 2
    assert "numbers of their rows" in capsys.readouterr().err


def test_a_damaged_run_is_listed_as_such_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "whole", list(range(30)), 0.9, trials=5)
    for name in ("empty", "torn", "lost"):
        write_run(tmp_path / name, list(range(30)), 0.7, trials=5)
    (tmp_path / "empty" / "metrics.json").write_text("{}")
    (tmp_path / "torn" / "metrics.json").write_text('{"ensemble": ')
    (tmp_path / "lost" / "bundle" / "manifest.json").unlink()
    call("runs", "--root", str(tmp_path))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].split()[:2] == ["whole", "0.9000"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["empty", "damaged"], ["lost", "damaged"], ["torn", "damaged"]
    ]  # fmt: skip


def test_runs_are_listed_best_first_with_unfinished_ones_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "aaa", list(range(30)), 0.9, trials=5)
    write_run(tmp_path / "zzz", list(range(30)), 0.7, trials=5)
    write_run(tmp_path / "half", list(range(30)), 0.1, trials=5)
    (tmp_path / "half" / "metrics.json").unlink()
    call("runs", "--root", str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["zzz", "aaa", "half"]
    assert "not finished" in lines[3]


@pytest.mark.parametrize("command", ["predict", "explain", "evaluate"])
def test_no_command_writes_over_what_it_reads(
    command: str, raw: pl.DataFrame, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "battles.csv"
    raw.write_csv(path)
    before = path.read_bytes()
    with pytest.raises(SystemExit) as ended:
        call(command, "--run", str(run), "--file", str(path), "--out", str(path))
    assert ended.value.code == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_ids_that_are_missing_are_said(
    raw: pl.DataFrame, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = raw.select("id", "prompt", "response_a", "response_b")
    null = texts.with_columns(id=pl.when(pl.int_range(pl.len()) != 3).then("id"))
    null.write_csv(tmp_path / "null.csv")
    with pytest.raises(SystemExit):
        call("predict", "--run", str(run), "--file", str(tmp_path / "null.csv"))
    assert "column 'id' is null in some rows" in capsys.readouterr().err
    texts.drop("id").write_csv(tmp_path / "none.csv")
    call("predict", "--run", str(run), "--file", str(tmp_path / "none.csv"))
    assert "there is no column of ids; rows are numbered" in capsys.readouterr().err


def test_columns_of_a_file_can_be_said(
    raw: pl.DataFrame, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"prompt": "q", "response_a": "one", "response_b": "two"}
    raw.select("id", *names).rename(names).write_csv(tmp_path / "odd.csv")
    raw.select("id", *names).write_csv(tmp_path / "known.csv")
    said = [
        word for old, new in names.items() for word in (f"--battles.{old}".replace("_", "-"), new)
    ]
    asked = ["--run", str(run), "--file"]
    call("predict", *asked, str(tmp_path / "odd.csv"), *said)
    found = capsys.readouterr().out
    call("predict", *asked, str(tmp_path / "known.csv"))
    assert capsys.readouterr().out == found
