"""Fine-tune on real battles, held-out folds by prompt: log loss, time and tokens a second.

FEATLAB_TEST_DATA=folder python -m tests.bench.fine_tuning --folds 0
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from featlab.battles import prompt_key, read_battles
from featlab.battles.folds import make_folds
from featlab.encoder import MINILM, EncoderSpec
from featlab.signals import Outcomes
from models.evaluation.metrics import log_loss
from models.preference.encoder_signal import EncoderSignal
from models.preference.fine_tune_settings import FineTuneSettings
from models.preference.preference_model import PreferenceModel

FOLDS = 5
NO_DATA = (
    "this benchmark reads real battles: set FEATLAB_TEST_DATA to a folder with arena/train.csv "
    "and, if there, arena/extra_no_ties.csv"
)


@dataclass(frozen=True)
class FoldMeasurement:
    """One fold's fine-tuning.

    Parameters
    ----------
    fold : int
    logits : float32 array of shape (n, 3)
        Of the held-out battles.
    labels : int64 array of shape (n,)
    seconds : float
        Training, tokenising and loading included.
    tokens_per_second : float
        Of training alone.
    tokens : int
        Trained on, padding not counted.
    """

    fold: int
    logits: np.ndarray
    labels: np.ndarray
    seconds: float
    tokens_per_second: float
    tokens: int

    @property
    def log_loss(self) -> float:
        """Of the held-out battles, uncalibrated."""
        return log_loss(probabilities(self.logits), self.labels)

    @property
    def accuracy(self) -> float:
        """Of the held-out battles."""
        return float((self.logits.argmax(1) == self.labels).mean())

    @property
    def tie_auc(self) -> float:
        """How well the tie's probability tells ties from the rest."""
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(self.labels == 2, probabilities(self.logits)[:, 2]))

    def __str__(self) -> str:
        return (
            f"fold {self.fold}: log loss {self.log_loss:.4f}, accuracy {self.accuracy:.3f}, "
            f"tie AUC {self.tie_auc:.3f}, {self.seconds:.0f} s, "
            f"{self.tokens_per_second:,.0f} tokens/s over {self.tokens:,} tokens"
        )


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of the rows, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def training_rows(folder: Path, fold: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training battles of a fold, extras without ties among them, and the held-out ones."""
    battles = (
        read_battles(folder / "train.csv", require_outcome=True)
        .with_columns(pl.col("id").cast(pl.String))
        .collect()
    )
    folds = make_folds(battles, FOLDS, seed=0)["fold"]
    held_out, training = battles.filter(folds == fold), battles.filter(folds != fold)
    extra_file = folder / "extra_no_ties.csv"
    if not extra_file.is_file():
        return training, held_out
    extra = (
        read_battles(extra_file, require_outcome=True)
        # A prompt that is held out must not be learned from elsewhere.
        .filter(~prompt_key().is_in(held_out.select(prompt_key()).to_series().implode()))
        .with_columns(pl.col("id").cast(pl.String), tie_known=pl.lit(False))
        .collect()
    )
    return pl.concat([training, extra], how="diagonal_relaxed"), held_out


def measure_fold(
    folder: Path,
    fold: int,
    spec: EncoderSpec = MINILM,
    settings: FineTuneSettings | None = None,
    seed: int = 0,
    device: str = "auto",
) -> FoldMeasurement:
    """Fine-tune on all folds but one and predict that one."""
    training, held_out = training_rows(folder, fold)
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        signal = EncoderSignal(spec, settings, seed, Path(name) / f"fold {fold}", device=device)
        prepared = signal.prepare(training.lazy())
        signal.fit(prepared, Outcomes.of(training), np.arange(len(training)))
        seconds = time.perf_counter() - start
        account = signal.state().values["training"]
        return FoldMeasurement(
            fold=fold,
            logits=PreferenceModel(signal.state(), device).logits(signal.prepare(held_out.lazy())),
            labels=held_out["label"].cast(pl.Int64).to_numpy(),
            seconds=seconds,
            tokens_per_second=account["tokens_per_second"],
            tokens=account["tokens"],
        )


def main() -> None:
    """Print one line a fold, and their log loss together."""
    import torch
    import transformers

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folds", type=int, nargs="+", default=[0], help="which of the 5 folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default=MINILM.model, help="folder or name on the hub")
    parser.add_argument("--max-tokens", type=int, default=MINILM.max_tokens)
    options = parser.parse_args()
    folder = Path(os.environ.get("FEATLAB_TEST_DATA", ""), "arena")
    if not (folder / "train.csv").is_file():
        sys.exit(NO_DATA)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    spec = replace(MINILM, model=options.model, max_tokens=options.max_tokens)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {spec.model}")
    measured = []
    for fold in options.folds:
        measured.append(measure_fold(folder, fold, spec, seed=options.seed, device=options.device))
        print(measured[-1], flush=True)
    logits = np.concatenate([found.logits for found in measured])
    labels = np.concatenate([found.labels for found in measured])
    total = log_loss(probabilities(logits), labels)
    seconds = sum(found.seconds for found in measured)
    print(f"{len(labels):,} held-out battles: log loss {total:.4f} in {seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
