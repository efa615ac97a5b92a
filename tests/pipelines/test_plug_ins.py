"""What a user brings along: another model's probabilities, and features of one's own."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import models
from featlab.battles.schema import PROBABILITIES
from featlab.errors import ConfigError
from featlab.generated import truth_matrix, write_battles
from featlab.progress import report_to
from models.evaluation.metrics import paired_difference
from models.probabilities import log_loss
from pipelines.features import main as features
from pipelines.run.console import ConsoleReporter, run_command
from pipelines.run.given_files import say_what_they_know
from pipelines.run.settings import FeatureSettings
from tests.pipelines.conftest import predict, train

FAST = ["--signals", "text", "--families", "newlines", "shouting", "--trials", "1"]
OWN = """
import polars as pl
from featlab import Feature
from featlab.features.pairing import DIFFERENCE

CAPITALS = Feature(
    "shouted", lambda text: text.count("[A-Z]"), pl.UInt32, "shouting", "capital letters",
    pairings=(DIFFERENCE,),
)
"""


def teach(ids: pl.Series, truth: np.ndarray, seed: int) -> pl.DataFrame:
    """What a good but noisy model says: the truth, its log odds disturbed."""
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    stated = truth * np.exp(0.5 * noise)
    stated /= stated.sum(axis=1, keepdims=True)
    columns = {name: stated[:, index] for index, name in enumerate(PROBABILITIES)}
    return pl.DataFrame({"id": ids, **columns})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and test battles, what a teacher says of them, and a file of features."""
    folder = tmp_path_factory.mktemp("data")
    written = write_battles(folder, 400, 30, seed=1)
    for name, made in (("train", written.train), ("test", written.test)):
        said = teach(made.truth["id"], truth_matrix(made.truth), len(made.truth))
        said.write_csv(folder / f"llm_{name}.csv")
    (folder / "own_features.py").write_text(OWN)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plugged"
    given = f"llm={data / 'llm_train.csv'}"
    train(data, folder, *FAST, "--given", given, "--features", str(data / "own_features.py"))
    return folder


def ask(run: Path, data: Path, *more: str) -> pl.DataFrame:
    out = run.parent / "out.csv"
    out.unlink(missing_ok=True)
    predict(run, data / "test.csv", out, *more)
    return pl.read_csv(out)


def test_the_ensemble_is_at_least_as_good_as_the_other_model(run: Path, data: Path) -> None:
    found = pl.read_parquet(run / "oof.parquet")
    labels = found["label"].to_numpy().astype(np.int64)
    teacher = pl.read_csv(data / "llm_train.csv").select(PROBABILITIES).to_numpy()
    ours = found.select(PROBABILITIES).to_numpy()
    gap = paired_difference(ours, teacher, labels, np.arange(len(labels)), seed=0)
    alone = json.loads((run / "metrics.json").read_text())["signals"]
    assert set(alone) == {"text", "llm"}
    assert gap.low <= 0
    assert gap.value < alone["text"]["after_calibration"]["log_loss"]["value"] - log_loss(
        teacher, labels
    )


def test_submitting_asks_for_the_other_model_and_for_trust(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = ["--trust", str(data / "own_features.py")]
    given = ["--given", f"llm={data / 'llm_test.csv'}"]
    for more, words in ((given, "--trust own_features.py"), (trust, "--given llm=FILE")):
        with pytest.raises(SystemExit) as ended:
            ask(run, data, *more)
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
    submitted = ask(run, data, *trust, *given).select(PROBABILITIES).to_numpy()
    teacher = pl.read_csv(data / "llm_test.csv").select(PROBABILITIES).to_numpy()
    margins = [stated[:, 0] - stated[:, 1] for stated in (submitted, teacher)]
    assert np.corrcoef(*margins)[0, 1] > 0.7


def test_the_library_takes_both_and_a_missing_row(run: Path, data: Path) -> None:
    trust = [str(data / "own_features.py")]
    pl.read_csv(data / "llm_test.csv").tail(29).write_csv(data / "most.csv")
    silent = models.load(run, trust)
    assert silent.explain("So?", "YES", "no").families.filter(family="shouting").height == 1
    whole, most = (
        models.load(run, trust, {"llm": data / name}).predict(data / "test.csv")
        for name in ("llm_test.csv", "most.csv")
    )
    nothing = silent.predict(data / "test.csv")
    assert most.tail(29).equals(whole.tail(29))
    assert most.head(1).equals(nothing.head(1))
    assert not most.head(1).equals(whole.head(1))
    with pytest.raises(ConfigError, match="rank the responses, or train without --given"):
        silent.score("So?", "YES")


def test_own_features_are_listed_and_made_by_the_features_command(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--list", "--features", str(data / "own_features.py")]
    run_command(features, FeatureSettings, "features", arguments)
    assert "capital letters" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "words"), [("1 / 0", "ZeroDivisionError"), ("X = 1", "declares no feature")]
)
def test_a_file_without_features_is_refused(
    tmp_path: Path, source: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(SystemExit):
        run_command(features, FeatureSettings, "features", ["--features", str(tmp_path / "own.py")])
    assert words in capsys.readouterr().err


def test_a_model_that_has_seen_the_labels_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gives what happened .95; an honest one as good as the truth is not suspected."""
    battles = pl.read_csv(data / "train.csv")
    ids, labels = battles["id"], np.argmax(battles.select(PROBABILITIES).to_numpy(), axis=1)
    folds = pl.DataFrame({"id": ids, "label": labels})
    folds.write_parquet(tmp_path / "folds.parquet")
    stated = np.full((len(ids), 3), 0.025)
    stated[np.arange(len(ids)), labels] = 0.95
    columns = {name: stated[:, index] for index, name in enumerate(PROBABILITIES)}
    pl.DataFrame({"id": ids, **columns}).write_csv(tmp_path / "leaking.csv")
    report_to(ConsoleReporter())
    for file, suspected in ((tmp_path / "leaking.csv", True), (data / "llm_train.csv", False)):
        say_what_they_know([f"llm={file}"], tmp_path / "folds.parquet")
        said = capsys.readouterr().err
        assert f"on {len(ids)} training battles" in said
        assert ("out-of-fold" in said) is suspected


def test_a_model_that_does_better_on_its_training_battles_than_it_expects_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has half learned the labels by heart, so no single loss gives it away."""
    train, honest = pl.read_csv(data / "train.csv"), pl.read_csv(data / "llm_train.csv")
    known = train.select(PROBABILITIES).to_numpy()
    folds = pl.DataFrame({"id": train["id"], "label": known.argmax(axis=1)})
    folds.write_parquet(tmp_path / "folds.parquet")
    stated = 0.8 * honest.select(PROBABILITIES).to_numpy() + 0.2 * known
    columns = dict(zip(PROBABILITIES, stated.T, strict=True))
    pl.DataFrame({"id": train["id"], **columns}).write_csv(tmp_path / "half.csv")
    report_to(ConsoleReporter())
    for file, suspected in ((tmp_path / "half.csv", True), (data / "llm_train.csv", False)):
        given = [f"llm={file},{data / 'llm_test.csv'}"]
        say_what_they_know(given, tmp_path / "folds.parquet")
        said = capsys.readouterr().err
        assert ("better on the training battles" in said) is suspected
        assert "no model predicts" not in said


def test_a_repeated_training_says_which_settings_changed_and_what_comes_next(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"llm={data / 'llm_train.csv'}"
    own = str(data / "own_features.py")
    train(data, run, *FAST, "--given", given, "--features", own, "--repeats", "2")
    said = capsys.readouterr()
    assert f"in {run}: setting repeats: 1 -> 2" in said.err
    assert said.err.count(": setting ") == 1
    assert f"make report RUN={run}" in said.out
    assert f"pipelines.predict --run {run} --trust {own}" in said.out


def test_a_handful_of_battles_is_trained_on_without_a_figure(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.read_csv(data / "train.csv").head(40).write_csv(tmp_path / "train.csv")
    train(
        tmp_path, tmp_path / "run", "--signals", "text", "--families", "newlines", "--trials", "1"
    )
    said = capsys.readouterr()
    assert "40 battles are too few for figures" in said.err
    assert "log loss" not in said.out


def test_a_torn_config_is_said_and_written_anew(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    pl.read_csv(data / "train.csv").head(60).write_csv(folder / "train.csv")
    arguments = ["--signals", "text", "--families", "newlines", "--trials", "1"]
    train(folder, tmp_path / "run", *arguments)
    config = tmp_path / "run" / "config.toml"
    whole = config.read_text(encoding="utf-8")
    config.write_text(whole[:8], encoding="utf-8")
    train(folder, tmp_path / "run", *arguments)
    assert "config.toml cannot be read" in capsys.readouterr().err
    assert config.read_text(encoding="utf-8") == whole
