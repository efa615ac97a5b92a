"""Kaggle, from zero to a submission. Here the longer answer wins."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

import models
from pipelines.run.settings import SubmitSettings, TrainSettings
from pipelines.submit import main as submit
from pipelines.train_ensemble import main as train

rng = np.random.default_rng(0)
a, b = rng.integers(1, 9, (2, 300))
words = {"response_a": np.array("word ", object) * a, "response_b": np.array("word ", object) * b}
outcomes = {"winner_model_a": a > b, "winner_model_b": a < b, "winner_tie": a == b}
texts = pl.DataFrame({"id": range(300), "prompt": [f"Prompt {row}" for row in range(300)], **words})
with TemporaryDirectory() as folder:
    data, run = Path(folder), Path(folder) / "run"
    known = texts.hstack(pl.DataFrame(outcomes).cast(pl.Int8))
    known.head(200).write_csv(data / "train.csv")
    texts.tail(100).write_csv(data / "test.csv")
    quick = TrainSettings(
        data=data, run=run, signals=["text"], families=["verbosity"],
        folds=3, trials=1, repeats=1, fold_repeats=0,
    )  # fmt: skip
    train(quick)
    submit(SubmitSettings(run=run, test=data / "test.csv", out=data / "submission.csv"))
    submitted = pl.read_csv(data / "submission.csv").drop("id").to_numpy()
    print(models.load(run).explain("Which?", "One word", "One word, and some more words"))
print((submitted.argmax(axis=1) == known.tail(100).drop(texts.columns).to_numpy().argmax(1)).mean())
