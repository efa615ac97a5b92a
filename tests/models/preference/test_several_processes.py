"""Fine-tuning by two processes that share every step: what ``torchrun`` does with two cards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.signals import load_signal  # noqa: E402
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    log_loss,
    small_spec,
    telling_battles,
    tuned,
)

ROOT = Path(__file__).parents[3]
BATTLES = 160


def train(encoder: Path, folder: Path) -> EncoderSignal:
    """One process's part of a fine-tuning."""
    return tuned(encoder, folder, telling_battles(BATTLES), epochs=3)


@pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)
def test_two_processes_share_the_tokens_and_learn_as_one_does(tmp_path: Path) -> None:
    small_spec(tmp_path / "encoder")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "tests.models.preference.test_several_processes"),
            *(str(tmp_path / "encoder"), str(tmp_path / "two")),
        ],
        cwd=ROOT,
        env={**os.environ, "FEATLAB_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    train(tmp_path / "encoder", tmp_path / "one")

    signals = {name: load_signal(EncoderSignal, tmp_path / name) for name in ("one", "two")}
    assert not (tmp_path / "two" / "training").exists()
    accounts = {name: signal.state().values["training"] for name, signal in signals.items()}
    assert accounts["two"]["tokens"] < 0.6 * accounts["one"]["tokens"]
    assert accounts["two"]["steps"] == pytest.approx(accounts["one"]["steps"], abs=3)

    fresh = telling_battles(120, seed=9)
    losses = {name: log_loss(signal, fresh) for name, signal in signals.items()}
    assert losses["two"] < 0.9
    assert losses["two"] == pytest.approx(losses["one"], abs=0.25)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
