"""Fine-tuning learns, keeps what it promises about sides, files and being killed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.battles import PROBABILITIES  # noqa: E402
from featlab.encoder import kernels as kernels_room  # noqa: E402
from featlab.encoder.backbone import load_backbone  # noqa: E402
from featlab.errors import BundleError, ConfigError  # noqa: E402
from featlab.progress import Progress  # noqa: E402
from models.preference import fine_tuning  # noqa: E402
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from models.preference.fine_tune_settings import FineTuneSettings  # noqa: E402
from models.preference.layerwise_rates import parameter_groups  # noqa: E402
from models.preference.low_rank import adapter_arrays, add_adapters, set_adapters  # noqa: E402
from models.preference.preference_head import PreferenceHead  # noqa: E402
from models.preference.preference_model import PreferenceModel  # noqa: E402
from models.preference.preference_network import PreferenceNetwork  # noqa: E402
from models.preference.token_budget_trainer import last_checkpoint  # noqa: E402
from models.preference.training_battles import BattleTokens  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    log_loss,
    logits_of,
    small_spec,
    telling_battles,
    training_of,
    tuned,
)

pytestmark = pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)


def test_it_learns_what_the_text_tells(encoder_folder: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    signal = tuned(
        encoder_folder, tmp_path, telling_battles(300), on_progress=seen.append, epochs=4
    )
    assert log_loss(signal, telling_battles(200, seed=9)) < 0.5
    assert [progress.done for progress in seen] == list(range(1, seen[-1].total + 1))
    said = re.search(r"loss ([\d.]+), ([\d,]+) tokens/s", str(seen[-1]))
    assert said is not None
    assert 0 < float(said[1]) < 1.1
    assert int(said[2].replace(",", "")) > 0
    training = training_of(signal)
    assert training["steps"] == seen[-1].total
    assert training["battles"] == 300
    assert 0 < training["losses"][-1] < min(training["losses"][0], 1.1)
    assert training["tokens_per_second"] > 0


def test_half_precision_on_disk_changes_little(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    whole = tuned(encoder_folder, tmp_path / "whole", battles)
    half = tuned(encoder_folder, tmp_path / "half", battles, saved_dtype="float16")
    size = {
        model: (model.state().files / "model.safetensors").stat().st_size for model in (whole, half)
    }
    assert size[half] < 0.6 * size[whole]
    np.testing.assert_allclose(logits_of(half, battles), logits_of(whole, battles), atol=0.02)


def test_same_seed_same_model(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    first, second, other = (
        logits_of(tuned(encoder_folder, tmp_path / name, battles, seed=seed), battles)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-4


def test_a_finished_training_is_not_done_again(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    seen: list[Progress] = []
    first = tuned(encoder_folder, tmp_path, battles, on_progress=seen.append)
    steps = len(seen)
    again = tuned(encoder_folder, tmp_path, battles, on_progress=seen.append)
    assert len(seen) == steps > 0
    np.testing.assert_array_equal(logits_of(again, battles), logits_of(first, battles))
    tuned(encoder_folder, tmp_path, battles, on_progress=seen.append, label_smoothing=0.1)
    assert len(seen) == 2 * steps


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_where_it_was(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(60)
    whole = tuned(encoder_folder, tmp_path / "whole", battles, epochs=2)
    steps = training_of(whole)["steps"]

    def dying(progress: Progress) -> None:
        if progress.done == steps // 2 + 2:
            raise KilledError

    seen: list[int] = []
    # A checkpoint after every step.
    often = {"epochs": 2, "checkpoint_minutes": 1e-9}
    folder = tmp_path / "killed"
    with pytest.raises(KilledError):
        tuned(encoder_folder, folder, battles, on_progress=dying, **often)
    torn = folder / "training" / "checkpoints" / "checkpoint-999"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"")
    resumed = tuned(
        encoder_folder,
        folder,
        battles,
        on_progress=lambda progress: seen.append(progress.done),
        **often,
    )
    assert seen[0] > steps // 2
    assert seen[-1] == steps
    assert not (folder / "training").exists()
    np.testing.assert_allclose(logits_of(resumed, battles), logits_of(whole, battles), atol=1e-4)


def test_checkpoints_of_another_training_are_not_used(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(60)

    def dying(progress: Progress) -> None:
        if progress.done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        tuned(encoder_folder, tmp_path, battles, on_progress=dying, checkpoint_minutes=1e-9)
    assert last_checkpoint(tmp_path / "training" / "checkpoints") is not None
    seen: list[int] = []
    tuned(
        encoder_folder,
        tmp_path,
        battles[1:],
        on_progress=lambda progress: seen.append(progress.done),
    )
    assert seen[0] == 1


@pytest.mark.parametrize("attention", ["padded", "blocks"])
def test_packed_and_padded_training_agree(
    encoder_folder: Path, tmp_path: Path, attention: str
) -> None:
    # One batch a step and one step in all, so that batching is the same both ways.
    battles = telling_battles(12)
    settings = {"tokens_per_step": 10_000, "tokens_per_batch": 10_000, "warmup_share": 0.0}
    found = tuned(
        encoder_folder, tmp_path / attention, battles, spec={"attention": attention}, **settings
    )
    assert training_of(found)["attention"] == attention
    reference = tuned(encoder_folder, tmp_path / "reference", battles, **settings)
    np.testing.assert_allclose(logits_of(found, battles), logits_of(reference, battles), atol=1e-3)


def test_accumulation_changes_nothing(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(24)
    tokens = {"tokens_per_step": 10_000, "epochs": 3}
    at_once = tuned(encoder_folder, tmp_path / "one", battles, tokens_per_batch=10_000, **tokens)
    in_parts = tuned(encoder_folder, tmp_path / "many", battles, tokens_per_batch=100, **tokens)
    assert training_of(at_once)["steps"] == training_of(in_parts)["steps"] == 3
    np.testing.assert_allclose(logits_of(in_parts, battles), logits_of(at_once, battles), atol=2e-3)


def test_battles_without_ties_teach_nothing_about_ties(
    encoder_folder: Path, tmp_path: Path
) -> None:
    decisive = telling_battles(200).filter(pl.col("label") < 2)
    told = tuned(encoder_folder, tmp_path / "told", decisive, epochs=3)
    untold = tuned(
        encoder_folder,
        tmp_path / "untold",
        decisive.with_columns(tie_known=pl.lit(False)),
        epochs=3,
    )

    def tie_share(model: EncoderSignal) -> float:
        logits = torch.from_numpy(logits_of(model, decisive))
        return float(logits.softmax(1)[:, 2].mean())

    assert tie_share(told) < 0.2
    assert tie_share(untold) > 0.25
    assert training_of(untold)["without_ties"] == len(decisive)


def test_distillation_follows_the_teacher(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(100)
    teacher = tmp_path / "teacher.csv"
    pl.DataFrame(
        {
            "id": battles["id"],
            **dict.fromkeys(PROBABILITIES[:2], [0.05] * 100),
            PROBABILITIES[2]: [0.9] * 100,
        }
    ).write_csv(teacher)
    options = {"distillation_weight": 1.0, "epochs": 4}
    model = tuned(encoder_folder, tmp_path / "told", battles, soft_labels=teacher, **options)
    own = battles.with_columns(
        pl.lit(0.9 if name == PROBABILITIES[2] else 0.05).alias(name) for name in PROBABILITIES
    )
    as_own = tuned(encoder_folder, tmp_path / "own", own, **options)
    np.testing.assert_array_equal(logits_of(as_own, battles), logits_of(model, battles))
    ties = torch.from_numpy(logits_of(model, battles)).softmax(1)[:, 2]
    assert ties.mean() > 0.75


def test_identity_loss_is_trained_along_and_dropped(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(100)
    model = tuned(encoder_folder, tmp_path, battles, identity_weight=0.5)
    assert training_of(model)["losses"][0] > 1.2
    assert set(PreferenceHead(32).state_dict()) == set(model.state().arrays)


def test_lower_layers_learn_more_slowly(encoder_folder: Path) -> None:
    spec = small_spec(encoder_folder)
    backbone = load_backbone(spec, encoder_folder, torch.device("cpu"), torch.float32)
    network = PreferenceNetwork(backbone, PreferenceHead(32), FineTuneSettings())
    settings = FineTuneSettings(learning_rate=1.0, head_learning_rate=7.0, layer_decay=0.5)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(network, settings)
        for parameter in group["params"]
    }
    found = {name: rates[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(rates) == len(list(network.parameters()))
    layers = [found[f"backbone.model.layers.{n}.mlp.Wi.weight"][0] for n in range(4)]
    assert layers == [0.125, 0.25, 0.5, 1.0]
    assert found["backbone.model.embeddings.tok_embeddings.weight"] == (0.0625, 1e-5)
    assert found["backbone.model.embeddings.norm.weight"] == (0.0625, 0.0)
    assert found["backbone.model.final_norm.weight"] == (1.0, 0.0)
    assert found["head.margin.weight"] == (7.0, 1e-5)
    assert found["head.norm.bias"] == (7.0, 0.0)


def test_adapters_are_trained_and_the_encoder_stays_as_it_was(
    encoder_folder: Path, tmp_path: Path
) -> None:
    battles = telling_battles(100)
    model = tuned(encoder_folder, tmp_path, battles, lora_rank=4, epochs=4)
    assert training_of(model)["losses"][-1] < training_of(model)["losses"][0]
    assert model.state().files is None
    assert not list(tmp_path.rglob("model*.safetensors"))
    size = (tmp_path / "state.safetensors").stat().st_size
    assert size < (encoder_folder / "model.safetensors").stat().st_size


def test_adapters_add_nothing_until_they_are_trained(encoder_folder: Path) -> None:
    spec = small_spec(encoder_folder, attention="blocks")
    read = [[5, 6, 7], [8, 9]]
    backbone, other = (
        load_backbone(spec, encoder_folder, torch.device("cpu"), torch.float32) for _ in range(2)
    )
    plain = backbone(backbone.batch(read))
    for each in (backbone, other):
        add_adapters(each, rank=2)
    torch.testing.assert_close(backbone(backbone.batch(read)), plain)
    trainable = [name for name, p in backbone.named_parameters() if p.requires_grad]
    layers = [name for name, p in backbone.named_parameters() if name.endswith("frozen.weight")]
    assert len(trainable) == 2 * len(layers) > 0
    assert any("attn" in name for name in trainable)
    assert any("mlp" in name for name in trainable)
    draw = np.random.default_rng(0)
    arrays = {
        name: draw.normal(0, 0.1, array.shape).astype(np.float32)
        for name, array in adapter_arrays(backbone).items()
    }
    for each in (backbone, other):
        set_adapters(each, arrays)
    adapted = backbone(backbone.batch(read))
    assert (adapted - plain).abs().max() > 1e-2
    torch.testing.assert_close(other(other.batch(read)), adapted)
    # Against the sum that they stand for.
    layer = backbone.model.layers[1].mlp.Wi
    inputs = torch.randn(3, layer.frozen.in_features)
    whole = layer.frozen.weight + 16 * layer.up @ layer.down
    torch.testing.assert_close(layer(inputs), inputs @ whole.T, atol=1e-4, rtol=1e-4)
    with pytest.raises(BundleError, match="trained on another model"):
        set_adapters(backbone, dict(list(arrays.items())[1:]))


def test_activations_computed_again_change_nothing(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(30)
    kept, again = (
        tuned(encoder_folder, tmp_path / str(recompute), battles, lora_rank=2, recompute=recompute)
        for recompute in (False, True)
    )
    np.testing.assert_allclose(logits_of(again, battles), logits_of(kept, battles), atol=1e-5)


def test_four_bits_need_a_card(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="4 bits need a CUDA card, and this is the cpu"):
        tuned(encoder_folder, tmp_path, telling_battles(8), lora_rank=4, four_bits=True)


def test_float16_needs_a_card(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'float16' needs a CUDA card"):
        tuned(encoder_folder, tmp_path, telling_battles(8), precision="float16")


def test_master_weights_stay_in_float32(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats: set[torch.dtype] = set()
    original = fine_tuning.write_encoder

    def watched(folder: Path, backbone: Any, *rest: Any) -> None:
        formats.update(parameter.dtype for parameter in backbone.parameters())
        original(folder, backbone, *rest)

    monkeypatch.setattr(fine_tuning, "write_encoder", watched)
    model = tuned(encoder_folder, tmp_path, telling_battles(20), precision="bfloat16")
    assert formats == {torch.float32}
    assert training_of(model)["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be above 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1\.0, but must be in \[0, 1\)"),
        ({"layer_decay": 1.5}, r"layer_decay is 1\.5"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"reading": "aloud"}, "reading is 'aloud', but must be one of alone, together"),
        ({"four_bits": True}, "four_bits is True, but must be off without lora_rank"),
        (
            {"lora_rank": 4, "warm_up_epochs": 1},
            "warm_up_epochs is 1, but must be 0 with lora_rank",
        ),
    ],
)
def test_settings_out_of_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(FineTuneSettings(), **fields)


def test_unknown_setting() -> None:
    with pytest.raises(ConfigError, match="speed"):
        FineTuneSettings.from_dict({"speed": 1})


def test_equal_sequences_are_encoded_once(encoder_folder: Path, tmp_path: Path) -> None:
    signal = tuned(encoder_folder, tmp_path, telling_battles(8))
    sequence = np.array([2, 5, 3], np.int32)
    counted: list[tuple[int, int]] = []
    tokens = BattleTokens(pl.Series(["0"] * 4), [sequence] * 4, [sequence] * 4)
    logits = PreferenceModel(signal.state(), "cpu").logits(
        tokens, lambda progress: counted.append((progress.done, progress.total))
    )
    assert logits.shape == (4, 3)
    assert counted == [(3, 3)]


def test_the_packed_kernel_is_really_used(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = kernels_room.KERNELS["blocks"]

    def counting(*arguments: Any, **rest: Any) -> torch.Tensor:
        calls.append(1)
        return original(*arguments, **rest)

    monkeypatch.setitem(kernels_room.KERNELS, "blocks", counting)
    tuned(encoder_folder, tmp_path, telling_battles(20), spec={"attention": "blocks"})
    assert len(calls) >= 8
