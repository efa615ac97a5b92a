"""Fine-tuning learns, keeps what it promises about sides, files and being killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.battles import PROBABILITIES, swap_battles  # noqa: E402
from featlab.encoder import attention as attention_room  # noqa: E402
from featlab.encoder.backbone import load_backbone  # noqa: E402
from featlab.errors import BundleError, ConfigError  # noqa: E402
from models.preference import fine_tuning  # noqa: E402
from models.preference.fine_tune_settings import FineTuneSettings  # noqa: E402
from models.preference.fine_tuning import fine_tune  # noqa: E402
from models.preference.layerwise_rates import parameter_groups  # noqa: E402
from models.preference.lora import add_adapters, merge_adapters  # noqa: E402
from models.preference.preference_head import PreferenceHead  # noqa: E402
from models.preference.preference_model import PreferenceModel, sequence_logits  # noqa: E402
from models.preference.preference_network import PreferenceNetwork  # noqa: E402
from models.preference.soft_labels import read_soft_labels  # noqa: E402
from models.preference.token_budget_trainer import TrainingPace, last_checkpoint  # noqa: E402
from tests.models.preference.small_encoder import (  # noqa: E402
    quick_settings,
    small_spec,
    telling_battles,
)

pytestmark = pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATLAB_THREADS", "1")
        torch.set_num_threads(1)
        yield


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    small_spec(path)
    return path


def silent(_: TrainingPace) -> None:
    pass


def tuned(
    encoder_folder: Path,
    folder: Path,
    battles: pl.DataFrame,
    validation: pl.DataFrame | None = None,
    spec: dict[str, Any] | None = None,
    seed: int = 0,
    soft_labels: pl.DataFrame | None = None,
    pace: Any = silent,
    **settings: Any,
) -> PreferenceModel:
    return fine_tune(
        battles,
        small_spec(encoder_folder, **(spec or {})),
        quick_settings(**settings),
        validation,
        seed,
        folder,
        soft_labels=soft_labels,
        device="cpu",
        pace=pace,
    )


def log_loss(model: PreferenceModel, battles: pl.DataFrame) -> float:
    logits = torch.from_numpy(model.predict_logits(battles))
    labels = torch.from_numpy(battles["label"].cast(pl.Int64).to_numpy().copy())
    return float(torch.nn.functional.cross_entropy(logits, labels))


@pytest.fixture(scope="module")
def learned(
    encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreferenceModel, list[TrainingPace]]:
    paces: list[TrainingPace] = []
    model = tuned(
        encoder_folder,
        tmp_path_factory.mktemp("learned"),
        telling_battles(300),
        pace=paces.append,
        epochs=4,
    )
    return model, paces


def test_it_learns_what_the_text_tells(learned: tuple[PreferenceModel, Any]) -> None:
    assert log_loss(learned[0], telling_battles(200, seed=9)) < 0.5


def test_swapped_battles_get_swapped_logits_to_the_last_bit(
    learned: tuple[PreferenceModel, Any],
) -> None:
    battles = telling_battles(60, seed=8)
    logits = learned[0].predict_logits(battles)
    assert logits.dtype == np.float32
    assert logits.std(0).min() > 0.1
    np.testing.assert_array_equal(
        learned[0].predict_logits(swap_battles(battles)), logits[:, [1, 0, 2]]
    )


def test_battles_are_predicted_whatever_stands_beside_them(
    learned: tuple[PreferenceModel, Any],
) -> None:
    battles = telling_battles(60, seed=8)
    logits = learned[0].predict_logits(battles)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(learned[0].predict_logits(battles[order]), logits[order], atol=1e-5)
    assert learned[0].predict_logits(battles.clear()).shape == (0, 3)


def test_empty_and_identical_responses(learned: tuple[PreferenceModel, Any]) -> None:
    battles = telling_battles(3).with_columns(
        response_a=pl.Series([[""], [], ["quick"]], dtype=pl.List(pl.String)),
        response_b=pl.Series([[""], [""], ["quick"]], dtype=pl.List(pl.String)),
    )
    logits = learned[0].predict_logits(battles)
    assert not logits[:, :2].any()


def test_save_and_load(learned: tuple[PreferenceModel, Any], tmp_path: Path) -> None:
    battles = telling_battles(20, seed=7)
    learned[0].save(tmp_path / "copy")
    loaded = PreferenceModel.load(tmp_path / "copy", device="cpu")
    np.testing.assert_array_equal(
        loaded.predict_logits(battles), learned[0].predict_logits(battles)
    )
    assert loaded.settings == learned[0].settings
    suffixes = {path.suffix for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}
    (tmp_path / "copy" / "head.safetensors").unlink()
    with pytest.raises(BundleError, match=r"head\.safetensors is missing"):
        PreferenceModel.load(tmp_path / "copy")


def test_another_format_is_refused(learned: tuple[PreferenceModel, Any], tmp_path: Path) -> None:
    learned[0].save(tmp_path)
    path = tmp_path / "preference.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(BundleError, match="is of format 99"):
        PreferenceModel.load(tmp_path)


def test_progress_has_loss_and_pace(learned: tuple[PreferenceModel, list[TrainingPace]]) -> None:
    model, paces = learned
    assert [pace.step for pace in paces] == list(range(1, paces[-1].steps + 1))
    assert paces[-1].tokens_per_second > 0
    assert 0 < paces[-1].loss < 1.1
    assert model.training["steps"] == paces[-1].steps
    assert model.training["battles"] == 300
    assert model.training["losses"][-1] < model.training["losses"][0]


def test_half_precision_on_disk_changes_little(
    encoder_folder: Path, tmp_path: Path, learned: tuple[PreferenceModel, Any]
) -> None:
    battles = telling_battles(40)
    whole = tuned(encoder_folder, tmp_path / "whole", battles)
    half = tuned(encoder_folder, tmp_path / "half", battles, saved_dtype="float16")
    size = {
        model: (model.folder / "encoder" / "model.safetensors").stat().st_size
        for model in (whole, half)
    }
    assert size[half] < 0.6 * size[whole]
    np.testing.assert_allclose(
        half.predict_logits(battles), whole.predict_logits(battles), atol=0.02
    )


def test_same_seed_same_model(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    first, second, other = (
        tuned(encoder_folder, tmp_path / name, battles, seed=seed).predict_logits(battles)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-4


def test_a_finished_training_is_not_done_again(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    paces: list[TrainingPace] = []
    first = tuned(encoder_folder, tmp_path, battles, pace=paces.append)
    steps = len(paces)
    again = tuned(encoder_folder, tmp_path, battles, pace=paces.append)
    assert len(paces) == steps > 0
    np.testing.assert_array_equal(again.predict_logits(battles), first.predict_logits(battles))
    tuned(encoder_folder, tmp_path, battles, pace=paces.append, label_smoothing=0.1)
    assert len(paces) == 2 * steps


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_where_it_was(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(60)
    whole = tuned(encoder_folder, tmp_path / "whole", battles, epochs=2)
    steps = whole.training["steps"]

    def dying(pace: TrainingPace) -> None:
        if pace.step == steps // 2 + 2:
            raise KilledError

    seen: list[int] = []
    # A checkpoint after every step.
    often = {"epochs": 2, "checkpoint_minutes": 1e-9}
    folder = tmp_path / "killed"
    with pytest.raises(KilledError):
        tuned(encoder_folder, folder, battles, pace=dying, **often)
    torn = folder / "checkpoints" / "checkpoint-999"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"")
    resumed = tuned(
        encoder_folder, folder, battles, pace=lambda pace: seen.append(pace.step), **often
    )
    assert seen[0] > steps // 2
    assert seen[-1] == steps
    assert not (folder / "checkpoints").exists()
    np.testing.assert_allclose(
        resumed.predict_logits(battles), whole.predict_logits(battles), atol=1e-4
    )


def test_checkpoints_of_another_training_are_not_used(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(60)

    def dying(pace: TrainingPace) -> None:
        if pace.step == 2:
            raise KilledError

    with pytest.raises(KilledError):
        tuned(encoder_folder, tmp_path, battles, pace=dying, checkpoint_minutes=1e-9)
    assert last_checkpoint(tmp_path / "checkpoints") is not None
    seen: list[int] = []
    tuned(encoder_folder, tmp_path, battles[1:], pace=lambda pace: seen.append(pace.step))
    assert seen[0] == 1


def test_early_stopping_keeps_the_best(encoder_folder: Path, tmp_path: Path) -> None:
    battles, validation = telling_battles(200), telling_battles(60, seed=5)
    # Labels that contradict the text: the better training goes, the worse validation gets.
    spoiled = validation.with_columns(label=((pl.col("label") + 1) % 3).cast(pl.Int8))
    model = tuned(
        encoder_folder, tmp_path, battles, spoiled, epochs=4, evaluations_per_epoch=3, patience=2
    )
    scored = model.training["validation_losses"]
    assert len(scored) < 12
    assert log_loss(model, spoiled) == pytest.approx(min(scored), abs=1e-4)


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
    assert found.training["attention"] == attention
    reference = tuned(encoder_folder, tmp_path / "reference", battles, **settings)
    np.testing.assert_allclose(
        found.predict_logits(battles), reference.predict_logits(battles), atol=1e-3
    )


def test_accumulation_changes_nothing(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(24)
    tokens = {"tokens_per_step": 10_000, "epochs": 3}
    at_once = tuned(encoder_folder, tmp_path / "one", battles, tokens_per_batch=10_000, **tokens)
    in_parts = tuned(encoder_folder, tmp_path / "many", battles, tokens_per_batch=100, **tokens)
    assert at_once.training["steps"] == in_parts.training["steps"] == 3
    np.testing.assert_allclose(
        in_parts.predict_logits(battles), at_once.predict_logits(battles), atol=2e-3
    )


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

    def tie_share(model: PreferenceModel) -> float:
        logits = torch.from_numpy(model.predict_logits(decisive))
        return float(logits.softmax(1)[:, 2].mean())

    assert tie_share(told) < 0.2
    assert tie_share(untold) > 0.25
    assert untold.training["without_ties"] == len(decisive)


def test_distillation_follows_the_teacher(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(100)
    soft = read_soft_labels(
        pl.DataFrame(
            {
                "id": battles["id"],
                **dict.fromkeys(PROBABILITIES[:2], [0.05] * 100),
                PROBABILITIES[2]: [0.9] * 100,
            }
        )
    )
    model = tuned(
        encoder_folder, tmp_path, battles, soft_labels=soft, distillation_weight=1.0, epochs=4
    )
    ties = torch.from_numpy(model.predict_logits(battles)).softmax(1)[:, 2]
    assert ties.mean() > 0.75


def test_identity_loss_is_trained_along_and_dropped(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(100)
    model = tuned(encoder_folder, tmp_path, battles, identity_weight=0.5)
    assert model.training["losses"][0] > 1.2
    assert set(PreferenceHead(32).state_dict()) == set(model.head.state_dict())


def test_names_are_not_read_when_predicting(learned: tuple[PreferenceModel, Any]) -> None:
    battles = telling_battles(10)
    np.testing.assert_array_equal(
        learned[0].predict_logits(battles.drop("model_a", "model_b", "label")),
        learned[0].predict_logits(battles),
    )


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


def test_lora_trains_adapters_and_merges_them(encoder_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    battles = telling_battles(100)
    model = tuned(encoder_folder, tmp_path, battles, lora_rank=4, epochs=4)
    assert model.training["losses"][-1] < model.training["losses"][0]
    names = set(json.loads((tmp_path / "encoder" / "config.json").read_text()))
    assert "architectures" in names
    assert not list((tmp_path / "encoder").glob("adapter*"))


def test_merged_adapters_compute_the_same(encoder_folder: Path) -> None:
    pytest.importorskip("peft", reason="LoRA needs peft")
    spec = small_spec(encoder_folder, attention="blocks")
    backbone = load_backbone(spec, encoder_folder, torch.device("cpu"), torch.float32)
    plain = backbone(backbone.batch([[5, 6, 7], [8, 9]]))
    add_adapters(backbone, FineTuneSettings(lora_rank=2))
    trainable = [name for name, p in backbone.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)
    for name, parameter in backbone.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted = backbone(backbone.batch([[5, 6, 7], [8, 9]]))
    merge_adapters(backbone)
    merged = backbone(backbone.batch([[5, 6, 7], [8, 9]]))
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)
    assert (adapted - plain).abs().max() > 1e-2


def test_lora_without_peft(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match="peft is not installed"):
        tuned(encoder_folder, tmp_path, telling_battles(8), lora_rank=4)


def test_gradient_checkpointing_changes_nothing(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(30)
    found, reference = (
        tuned(encoder_folder, tmp_path / str(on), battles, gradient_checkpointing=on)
        for on in (True, False)
    )
    np.testing.assert_allclose(
        found.predict_logits(battles), reference.predict_logits(battles), atol=1e-4
    )


def test_dropout_pads(encoder_folder: Path, tmp_path: Path) -> None:
    model = tuned(
        encoder_folder,
        tmp_path,
        telling_battles(20),
        spec={"attention": "blocks"},
        dropout=0.1,
    )
    assert model.training["attention"] == "padded"


def test_float16_needs_a_card(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'float16' needs a CUDA card"):
        tuned(encoder_folder, tmp_path, telling_battles(8), precision="float16")


def test_master_weights_stay_in_float32(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats: set[torch.dtype] = set()
    original = fine_tuning.write_model

    def watched(folder: Path, backbone: Any, *rest: Any) -> None:
        formats.update(parameter.dtype for parameter in backbone.parameters())
        original(folder, backbone, *rest)

    monkeypatch.setattr(fine_tuning, "write_model", watched)
    model = tuned(encoder_folder, tmp_path, telling_battles(20), precision="bfloat16")
    assert formats == {torch.float32}
    assert model.training["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be at least 1"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0"),
        ({"dropout": 1.0}, r"dropout is 1\.0, but must be in \[0, 1\)"),
        ({"layer_decay": 1.5}, r"layer_decay is 1\.5"),
        ({"precision": "int8"}, "precision is 'int8'"),
    ],
)
def test_settings_out_of_range(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(FineTuneSettings(), **fields)


def test_unknown_setting() -> None:
    with pytest.raises(ConfigError, match="speed"):
        FineTuneSettings.from_dict({"speed": 1})


def test_equal_sequences_are_encoded_once(learned: tuple[PreferenceModel, Any]) -> None:
    model = learned[0]
    sequence = np.array([2, 5, 3], np.int32)
    counted: list[tuple[int, int]] = []
    logits = sequence_logits(
        model.encoder,
        model.head,
        [sequence] * 4,
        [sequence] * 4,
        lambda done, total: counted.append((done, total)),
    )
    assert logits.shape == (4, 3)
    assert counted == [(3, 3)]


def test_the_packed_kernel_is_really_used(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = attention_room.KERNELS["blocks"]

    def counting(*arguments: Any, **rest: Any) -> torch.Tensor:
        calls.append(1)
        return original(*arguments, **rest)

    monkeypatch.setitem(attention_room.KERNELS, "blocks", counting)
    tuned(encoder_folder, tmp_path, telling_battles(20), spec={"attention": "blocks"})
    assert len(calls) >= 8
