"""Decoders with adapters learn, keep what is promised about sides, and survive being killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.battles import swap_battles  # noqa: E402
from featlab.columns import parities  # noqa: E402
from featlab.encoder import EncoderSpec  # noqa: E402
from featlab.errors import BundleError  # noqa: E402
from featlab.parity import swap  # noqa: E402
from featlab.progress import Progress  # noqa: E402
from featlab.signals import find_signal, load_signal, save_signal  # noqa: E402
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from models.preference.fine_tune_settings import FineTuneSettings  # noqa: E402
from models.stacking.out_of_fold import mean_columns  # noqa: E402
from tests.featlab.encoder.conftest import write_decoder  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    log_loss,
    logits_of,
    prepared,
    telling_battles,
    training_of,
    tuned,
)

pytestmark = pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)
FAMILIES = ("qwen3", "llama", "gemma2")
BATTLES = telling_battles(60, seed=8)
ADAPTERS: dict[str, Any] = {"lora_rank": 8, "learning_rate": 1e-2, "tokens_per_batch": 512}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        family: write_decoder(tmp_path_factory.mktemp(family), family, initializer_range=0.1)
        for family in FAMILIES
    }


@pytest.fixture(scope="module", params=["alone", "together"])
def learned(
    request: pytest.FixtureRequest,
    folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> EncoderSignal:
    folder = tmp_path_factory.mktemp("learned")
    battles = telling_battles(300)
    return tuned(folders["qwen3"], folder, battles, reading=request.param, epochs=8, **ADAPTERS)


def columns_of(signal: EncoderSignal, battles: pl.DataFrame) -> pl.DataFrame:
    return signal.transform(prepared(signal, battles))


def test_it_learns_what_the_text_tells(learned: EncoderSignal) -> None:
    assert log_loss(learned, telling_battles(200, seed=9)) < 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns(folders: dict[str, Path], tmp_path: Path, family: str) -> None:
    model = tuned(folders[family], tmp_path, telling_battles(100), epochs=3, **ADAPTERS)
    losses = training_of(model)["losses"]
    assert losses[-1] < losses[0] - 0.05


def test_swapped_battles_get_swapped_columns_to_the_last_bit(learned: EncoderSignal) -> None:
    found = columns_of(learned, BATTLES)
    assert min(found.select(pl.all().std()).row(0)) > 0.1
    swapped = columns_of(learned, swap_battles(BATTLES))
    assert swapped.equals(swap(found, parities(learned.columns())))


def test_what_is_read_together_is_in_one_sequence(learned: EncoderSignal) -> None:
    tokens = prepared(learned, BATTLES)
    one = len(BATTLES["response_a"][0][0].split())
    other = len(BATTLES["response_b"][0][0].split())
    together = learned.settings.reading == "together"
    # The prompt is a word; every text ends in a separator.
    expected = 1 + one + other + 3 if together else 1 + one + 2
    assert len(tokens.a[0]) == expected
    assert (len(tokens.a[0]) == len(tokens.b[0])) == (together or one == other)


def test_save_and_load(learned: EncoderSignal, tmp_path: Path) -> None:
    save_signal(learned, tmp_path)
    loaded = load_signal(find_signal("encoder"), tmp_path)
    assert isinstance(loaded, EncoderSignal)
    assert columns_of(loaded, BATTLES).equals(columns_of(learned, BATTLES))
    # The decoder itself is not copied into every fold.
    assert {path.name for path in tmp_path.iterdir()} == {"state.json", "state.safetensors"}


def test_folds_share_a_decoder_and_keep_their_adapters(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folds = [
        tuned(folders["llama"], tmp_path / str(seed), telling_battles(40), seed=seed, **ADAPTERS)
        for seed in range(2)
    ]
    alone = [columns_of(fold, BATTLES) for fold in folds]
    assert not alone[0].equals(alone[1])
    together = EncoderSignal.transform_each(folds, prepared(folds[0], BATTLES))
    for one, other in zip(alone, together, strict=True):
        assert one.equals(other)
    mean = mean_columns(folds, BATTLES.drop("label", "model_a", "model_b").lazy())
    expected = np.mean([frame.to_numpy() for frame in alone], axis=0)
    np.testing.assert_allclose(mean.to_numpy(), expected, atol=1e-6)


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_where_it_was(folders: dict[str, Path], tmp_path: Path) -> None:
    battles = telling_battles(60)
    whole = tuned(folders["gemma2"], tmp_path / "whole", battles, epochs=2, **ADAPTERS)
    steps = training_of(whole)["steps"]

    def dying(progress: Progress) -> None:
        if progress.done == steps // 2 + 2:
            raise KilledError

    seen: list[int] = []
    # A checkpoint after every step.
    often = {"epochs": 2, "checkpoint_minutes": 1e-9, **ADAPTERS}
    folder = tmp_path / "killed"
    with pytest.raises(KilledError):
        tuned(folders["gemma2"], folder, battles, on_progress=dying, **often)
    resumed = tuned(
        folders["gemma2"],
        folder,
        battles,
        on_progress=lambda progress: seen.append(progress.done),
        **often,
    )
    assert steps // 2 < seen[0] < seen[-1] == steps
    np.testing.assert_allclose(logits_of(resumed, battles), logits_of(whole, battles), atol=1e-4)


def test_adapters_on_another_decoder_are_refused(
    learned: EncoderSignal, folders: dict[str, Path], tmp_path: Path
) -> None:
    save_signal(learned, tmp_path)
    wider = write_decoder(tmp_path / "wider", "qwen3", intermediate_size=40)
    described = tmp_path / "state.json"
    described.write_text(described.read_text().replace(str(folders["qwen3"]), str(wider)))
    loaded = load_signal(find_signal("encoder"), tmp_path)
    with pytest.raises(BundleError, match="adapters were trained on another model"):
        loaded.transform(prepared(learned, BATTLES))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_frozen_layers_are_held_in_the_format_of_the_arithmetic(
    folders: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    from models.preference.training_network import load_network

    signal = tuned(folders["qwen3"], tmp_path, telling_battles(20), precision=precision, **ADAPTERS)
    dtype = getattr(torch, precision)
    network, _ = load_network(signal.spec, signal.settings, torch.device("cpu"), dtype, 0)
    held = {
        ("frozen" in name, parameter.requires_grad): parameter.dtype
        for name, parameter in network.named_parameters()
    }
    assert held == {
        (True, False): dtype,
        (False, False): torch.float32,
        (False, True): torch.float32,
    }
    assert {b.dtype for b in network.buffers() if b.is_floating_point()} == {torch.float32}
    assert np.isfinite(logits_of(signal, BATTLES)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
def test_adapters_learn_on_weights_of_four_bits(folders: dict[str, Path]) -> None:
    pytest.importorskip("bitsandbytes", reason="4 bits need bitsandbytes")
    from models.preference.training_network import load_network

    spec = EncoderSpec(str(folders["qwen3"]), max_tokens=48)
    settings = FineTuneSettings(lora_rank=4, four_bits=True, recompute=True)
    device = torch.device("cuda")
    network, _ = load_network(spec, settings, device, torch.float16, 0)
    backbone = network.backbone
    with torch.autocast("cuda", torch.float16):
        backbone(backbone.batch([[5, 6, 7], [8, 9]]).to(device)).square().sum().backward()
    grown = [p.grad for name, p in network.named_parameters() if name.endswith("up")]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in grown)
