"""A run with a decoder from end to end: estimated, trained, bundled, submitted, packed, moved."""

from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("torch", reason="the encoder needs torch")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")

from featlab.generated import write_battles
from models.stacking.bundle import read_manifest
from pipelines.kaggle.bundle import copy_bundle
from tests.featlab.encoder.conftest import write_decoder
from tests.pipelines.conftest import asymmetry, predict, train

pytestmark = pytest.mark.filterwarnings(
    # Raised inside accelerate and transformers; nothing here can change it.
    "ignore::DeprecationWarning:accelerate",
    "ignore::DeprecationWarning:transformers",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write_battles(folder, 60, 12, seed=2)
    return folder


def of_decoder(folder: Path, *more: str) -> list[str]:
    model = ["--encoder.model", str(folder), "--encoder.max-tokens", "48"]
    # So few battles are one step an epoch, and the first one only warms up.
    return ["--preset", "llm", "--trials", "1", *model, "--encoder.epochs", "3", *more]


def test_a_decoder_from_training_to_a_kit_on_another_machine(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder, run = (
        write_decoder(tmp_path / "decoder", "qwen3", initializer_range=0.1),
        tmp_path / "run",
    )
    signals = ["--signals", "text", "--signals", "encoder"]
    train(data, run, *of_decoder(decoder, *signals, "--dry-run"))
    said = capsys.readouterr().err
    assert "encoder: on 2x T4, both busy, about " in said
    assert "calculated, not measured" in said

    train(data, run, *of_decoder(decoder, *signals))
    columns = pl.read_parquet(run / "signals" / "encoder.parquet")
    assert columns["encoder_tie"].std() > 0
    assert asymmetry(run, data / "test.csv", tmp_path) <= 1e-12
    assert read_manifest(run / "bundle")["encoders"]["encoder"]["model"] == str(decoder)
    # Its weights are in no fold.
    folds = (run / "bundle" / "signals" / "encoder").rglob("*.safetensors")
    assert [path.name for path in folds] == ["state.safetensors"] * 3

    predict(run, data / "test.csv", tmp_path / "here.csv")
    copy_bundle(run / "bundle", tmp_path / "kit")
    decoder.rename(tmp_path / "gone")
    monkeypatch.chdir(tmp_path / "kit")
    predict(tmp_path / "kit" / "run", data / "test.csv", tmp_path / "there.csv")
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--encoder.four-bits"], "weights in 4 bits need a CUDA card"),
        (["--encoder.warm-up-epochs", "1"], "warm_up_epochs is 1, but must be 0 with lora_rank"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    decoder = write_decoder(tmp_path / "decoder", "llama")
    with pytest.raises(SystemExit) as ended:
        train(data, tmp_path / "run", *of_decoder(decoder, "--signals", "encoder", *arguments))
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
