"""The encoder as a signal: what it promises about sides, rows, folds and files."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the preference model needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.battles import swap_battles  # noqa: E402
from featlab.columns import parities  # noqa: E402
from featlab.errors import BundleError, ConfigError, WeightsError  # noqa: E402
from featlab.parity import swap  # noqa: E402
from featlab.signals import (  # noqa: E402
    Context,
    Outcomes,
    State,
    find_signal,
    load_signal,
    save_signal,
)
from models.preference.encoder_signal import EncoderSignal  # noqa: E402
from models.preference.preference_head import PreferenceHead  # noqa: E402
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
BATTLES = telling_battles(60, seed=8)


@pytest.fixture(scope="module")
def learned(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderSignal:
    folder = tmp_path_factory.mktemp("learned")
    return tuned(encoder_folder, folder, telling_battles(300), epochs=4)


def columns_of(signal: EncoderSignal, battles: pl.DataFrame) -> pl.DataFrame:
    return signal.transform(prepared(signal, battles))


def test_swapped_battles_get_swapped_columns_to_the_last_bit(learned: EncoderSignal) -> None:
    found = columns_of(learned, BATTLES)
    assert found.schema == {column.name: pl.Float32 for column in learned.columns()}
    assert min(found.select(pl.all().std()).row(0)) > 0.1
    swapped = columns_of(learned, swap_battles(BATTLES))
    assert swapped.equals(swap(found, parities(learned.columns())))


def test_battles_are_read_whatever_stands_beside_them(learned: EncoderSignal) -> None:
    tokens = prepared(learned, BATTLES)
    whole = learned.transform(tokens).to_numpy()
    rows = np.random.default_rng(0).permutation(60)[:40]
    np.testing.assert_allclose(learned.transform(tokens, rows).to_numpy(), whole[rows], atol=1e-5)
    assert learned.transform(tokens, rows[:0]).shape == (0, 2)


def test_empty_and_identical_responses(learned: EncoderSignal) -> None:
    battles = telling_battles(3).with_columns(
        response_a=pl.Series([[""], [], ["quick"]], dtype=pl.List(pl.String)),
        response_b=pl.Series([[""], [""], ["quick"]], dtype=pl.List(pl.String)),
    )
    assert (columns_of(learned, battles)["encoder_margin"] == 0).all()


def test_save_and_load(learned: EncoderSignal, tmp_path: Path) -> None:
    save_signal(learned, tmp_path)
    loaded = load_signal(find_signal("encoder"), tmp_path)
    assert isinstance(loaded, EncoderSignal)
    assert columns_of(loaded, BATTLES).equals(columns_of(learned, BATTLES))
    assert loaded.settings == learned.settings
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {
        ".json",
        ".safetensors",
    }
    assert set(PreferenceHead(32).state_dict()) == set(loaded.state().arrays)
    weights = tmp_path / "files" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="truncated"):
        columns_of(loaded, BATTLES)


def test_a_state_without_weights_is_refused(learned: EncoderSignal) -> None:
    with pytest.raises(BundleError, match="weights of its encoder are missing"):
        EncoderSignal.from_state(State(learned.state().arrays, learned.state().values))


def test_loaded_folds_share_one_preparation(learned: EncoderSignal, tmp_path: Path) -> None:
    other = tuned(Path(learned.spec.model), tmp_path, telling_battles(40), seed=1)
    tokens = prepared(learned, BATTLES)
    assert other.transform(tokens).equals(columns_of(other, BATTLES))
    assert not other.transform(tokens).equals(learned.transform(tokens))


def test_only_the_training_rows_are_learned_from(encoder_folder: Path, tmp_path: Path) -> None:
    battles = telling_battles(40)
    spoiled = battles.with_columns(
        label=pl.when(pl.int_range(pl.len()) < 30).then("label").otherwise(0).cast(pl.Int8),
        model_a=pl.when(pl.int_range(pl.len()) < 30).then("model_a").otherwise(pl.lit("snail")),
    )
    found = []
    for number, frame in enumerate((battles, spoiled)):
        signal = EncoderSignal(
            small_spec(encoder_folder),
            quick_settings(identity_weight=0.5),
            folder=tmp_path / str(number),
            device="cpu",
            on_progress=silent,
        )
        tokens = prepared(signal, frame)
        signal.fit(tokens, Outcomes.of(frame), np.arange(30))
        found.append(signal.transform(tokens))
    assert found[0].equals(found[1])


def test_what_a_run_tells_it(encoder_folder: Path, tmp_path: Path) -> None:
    spec = small_spec(encoder_folder)
    teacher = tmp_path / "teacher.csv"
    teacher.write_text("id\n")
    context = Context(
        seed=3,
        encoder=spec,
        folder=tmp_path / "fitted",
        options={"fine_tuning": {"epochs": 2}, "soft_labels": str(teacher)},
    )
    first, second = (EncoderSignal.from_settings(context, fold) for fold in (0, 1))
    assert (first.settings.epochs, first.soft_labels) == (2, teacher)
    assert second.folder == tmp_path / "fitted" / "1"
    assert first.seed != second.seed
    before = first.recipe()
    teacher.write_text("id\n7\n")
    assert first.recipe() != before
    with pytest.raises(ConfigError, match=r"there is no file .*nowhere\.csv"):
        EncoderSignal.from_settings(
            Context(encoder=spec, options={"soft_labels": str(tmp_path / "nowhere.csv")}), 0
        )
    with pytest.raises(ConfigError, match="no encoder to fine-tune"):
        EncoderSignal.from_settings(Context(), 0)
    with pytest.raises(ConfigError, match="speed"):
        EncoderSignal.from_settings(Context(encoder=spec, options={"fine_tuning": {"speed": 1}}), 0)


def test_without_a_folder_the_model_lives_as_long_as_the_signal(encoder_folder: Path) -> None:
    signal = tuned(encoder_folder, None, telling_battles(20))
    folder = signal.folder
    assert folder is not None
    assert columns_of(signal, BATTLES).height == 60
    del signal
    gc.collect()
    assert not folder.exists()


def test_an_unfitted_signal_has_no_columns_to_give(encoder_folder: Path) -> None:
    signal = EncoderSignal(small_spec(encoder_folder))
    with pytest.raises(ConfigError, match="not fitted yet"):
        columns_of(signal, BATTLES)
