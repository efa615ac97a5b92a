"""Battles of every layout train and predict with no option but the file's name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from featlab.battles import PROBABILITIES, read_battles
from tests.layouts import LAYOUTS, write_layout
from tests.pipelines.conftest import predict, train

LEAST = ("--signals", "text", "--families", "verbosity", "--trials", "1", "--fold-repeats", "0")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_trains_and_predicts(name: str, generated: Path, tmp_path: Path) -> None:
    battles = read_battles(generated / "train.csv").collect().head(120)
    path = write_layout(name, battles, tmp_path / "data")
    run, out = tmp_path / "run", tmp_path / "submission.csv"
    train(path, run, *LEAST)
    predict(run, path, out)
    ties = LAYOUTS[name][2]
    labels = pl.read_parquet(run / "oof.parquet")["label"]
    kept = battles if ties else battles.filter(pl.col("label") < 2)
    assert len(labels) == len(kept)
    assert (labels == 2).sum() == (kept["label"] == 2).sum()
    assert 0.3 < (labels == 0).sum() / (labels < 2).sum() < 0.7
    submitted = pl.read_csv(out, infer_schema=False)
    assert len(submitted) == len(kept)
    if name == "wsdm":
        assert submitted.columns == ["id", "winner"]
    else:
        assert submitted.columns == ["id", *PROBABILITIES[: 3 if ties else 2]]
    read = pl.read_parquet(run / "battles.parquet")
    assert read["id"].cast(pl.String).to_list() == submitted["id"].to_list()
    prompts = (of["prompt"].list.first().str.strip_chars().to_list() for of in (read, kept))
    assert next(prompts) == next(prompts)
