"""The warm-up hides what it should, learns, and never sees a held-out text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the warm-up needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.encoder import load_encoder  # noqa: E402
from featlab.encoder.tokens import Tokenizer  # noqa: E402
from featlab.progress import Progress  # noqa: E402
from featlab.signals import Outcomes  # noqa: E402
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from models.preference.masked_warm_up import UNSCORED, MaskingCollator, warm_up  # noqa: E402
from models.preference.training_job import TrainingJob, training_device  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    prepared,
    quick_settings,
    silent,
    small_spec,
    telling_battles,
    tuned,
)

pytestmark = pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)


def test_what_is_hidden(tmp_path: Path) -> None:
    spec = small_spec(tmp_path)
    rows = [np.r_[2, np.full(n, 9), 3].astype(np.int32) for n in (400, 300)]
    collator = MaskingCollator(rows, Tokenizer(tmp_path, spec), seed=0)
    first, second = collator([0, 1]), collator([0, 1])
    hidden = first["labels"] != UNSCORED
    assert not torch.equal(hidden, second["labels"] != UNSCORED)
    assert (first["labels"][hidden] == 9).all()
    assert hidden.sum() / 700 == pytest.approx(0.3, abs=0.06)
    assert (first["input_ids"][~hidden] == torch.tensor([9, 1, 2, 3])[:, None]).any(0).all()
    masked = first["input_ids"][hidden] == 4
    assert masked.float().mean() == pytest.approx(0.8, abs=0.09)
    special = torch.isin(first["input_ids"], torch.tensor([1, 2, 3]))
    assert not (hidden & special & (first["labels"] != 9)).any()


def test_it_learns_and_leaves_an_encoder(tmp_path: Path) -> None:
    spec = small_spec(tmp_path / "before")
    settings = quick_settings(warm_up_epochs=6, learning_rate=3e-3)
    seen: list[Progress] = []
    job = TrainingJob(
        settings, *training_device(settings, "cpu"), 0, tmp_path / "job", "x", "fold", seen.append
    )
    tokens = prepared(EncoderSignal(spec), telling_battles(150))
    warmed = warm_up(tokens, spec, job)
    assert warmed.id != spec.id
    losses = [float(progress.task.split("loss ")[1].split(",")[0]) for progress in seen]
    assert losses[-1] < losses[1] - 0.2
    before = load_encoder(spec, "cpu").encode_texts(["quick fox"])
    after = load_encoder(warmed, "cpu").encode_texts(["quick fox"])
    assert np.abs(after - before).max() > 1e-2
    steps = len(seen)
    assert warm_up(tokens, spec, job) == warmed
    assert len(seen) == steps


def test_held_out_texts_are_never_read(tmp_path: Path) -> None:
    spec = small_spec(tmp_path / "encoder")
    battles = telling_battles(40)
    other = pl.concat([battles[:30], telling_battles(10, seed=1)])
    training, held_out = np.arange(30), np.arange(30, 40)
    found = []
    for number, frame in enumerate((battles, other)):
        signal = EncoderSignal(
            spec,
            quick_settings(warm_up_epochs=1),
            folder=tmp_path / str(number),
            device="cpu",
            on_progress=silent,
        )
        signal.fit(prepared(signal, frame), Outcomes.of(frame), training)
        found.append(signal.transform(prepared(signal, battles), held_out))
    assert found[0].equals(found[1])


def test_a_killed_fine_tuning_keeps_its_warm_up(tmp_path: Path) -> None:
    small_spec(tmp_path / "encoder")
    battles = telling_battles(30)

    def dying(progress: Progress) -> None:
        if "warm-up" not in progress.task:
            raise KeyboardInterrupt

    options = {"warm_up_epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "encoder", tmp_path / "out", battles, on_progress=dying, **options)
    tasks: list[str] = []
    tuned(
        tmp_path / "encoder",
        tmp_path / "out",
        battles,
        on_progress=lambda progress: tasks.append(progress.task),
        **options,
    )
    assert tasks
    assert not any("warm-up" in task for task in tasks)
    assert not (tmp_path / "out" / "training").exists()
