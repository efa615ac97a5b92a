"""What a command line answers: help, versions, and names that do not exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from featlab import __version__
from featlab.errors import ConfigError
from pipelines.run.commands import COMMANDS
from pipelines.run.help import help_text, options
from pipelines.run.settings import SubmitSettings, TrainSettings

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_a_sentence_two_examples_and_every_option_in_plain_words(name: str) -> None:
    text, command = help_text(name), COMMANDS[name]
    assert command.sentence in text
    assert text.count(f"  python -m pipelines.{name}") == 2
    assert all(
        option.name in text or option.positional for option in options(command.settings_class())
    )
    assert not {"``", "<class", "Optional", "None", "typing", "Literal"} & set(text.split())
    assert "`" not in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_are_understood(name: str) -> None:
    import shlex

    for example in COMMANDS[name].examples:
        COMMANDS[name].settings_class().load(shlex.split(example), f"python -m pipelines.{name}")


def test_every_command_is_a_module_with_its_settings() -> None:
    there = {path.stem for path in (ROOT / "pipelines").glob("*.py")} | {"play", "report"}
    assert set(COMMANDS) <= there
    for path in (ROOT / "pipelines").glob("*.py"):
        if "run_command(" in path.read_text():
            assert path.stem in COMMANDS


def test_help_loads_no_library_that_takes_seconds() -> None:
    program = """
import runpy, sys
sys.argv = ["-m", "--help"]
sys.orig_argv = ["python", "-m", "pipelines.train_ensemble", "--help"]
try:
    import pipelines
except SystemExit:
    pass
heavy = {"polars", "numpy", "lightgbm", "optuna", "torch", "sklearn", "scipy", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    result = python("-c", program)
    assert "--trials NUMBER" in result.stdout, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        ("features", {"lightgbm", "scipy"}),
        ("submit", {"scipy.optimize", "scipy.stats"}),
        ("predict", {"scipy.optimize", "scipy.stats"}),
    ],
)
def test_commands_wait_for_no_library_that_only_training_needs(
    command: str, unneeded: set[str]
) -> None:
    training = {"optuna", "torch", "transformers", "sklearn", "pandas", "matplotlib"}
    program = f"import sys, pipelines.{command}; print(*sys.modules)"
    loaded = set(python("-c", program).stdout.split())
    assert "polars" in loaded
    assert not (training | unneeded) & loaded


def test_lightgbm_has_all_its_faces_for_whoever_imports_it() -> None:
    program = """
from models.lightgbm_alone import lgb
import lightgbm
print(issubclass(lightgbm.LGBMClassifier, __import__("sklearn.base").base.BaseEstimator))
"""
    assert python("-c", program).stdout == "True\n"


def test_commands_are_listed_in_order_and_called_by_name() -> None:
    listed = python("-m", "pipelines").stdout
    places = [listed.index(f"  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert python("-m", "pipelines", "--version").stdout == f"featlab {__version__}\n"
    assert python("-m", "pipelines.submit", "--version").stdout == f"featlab {__version__}\n"
    assert python("-m", "pipelines", "runs", "--help").stdout.strip() == help_text("runs")
    wrong = python("-m", "pipelines", "sumbit")
    assert wrong.returncode == 2
    assert "did you mean submit?" in wrong.stderr


@pytest.mark.parametrize(
    ("given", "meant"), [("--trails", "--trials"), ("--battles.promt=x", "--battles.prompt")]
)
def test_an_unknown_option_is_answered_with_the_nearest(given: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {meant}"):
        TrainSettings.load([given, "5"], "train")


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("train_ensemble", ["--trials"], "argument --trials: expected one argument"),
        (
            "train_ensemble",
            ["--trials", "--folds", "3"],
            "argument --trials: expected one argument",
        ),
        ("train_ensemble", ["--signals"], "argument --signals: expected one argument"),
        ("train_ensemble", ["-trials", "3"], "there is no option -trials; did you mean --trials?"),
        ("train_ensemble", ["trials", "3"], "unrecognized arguments: trials 3"),
        ("train_ensemble", ["--verbose", "true"], "unrecognized arguments: true"),
        ("submit", ["in/ok.csv"], "unrecognized arguments: in/ok.csv"),
        ("submit", ["--test", "a.csv", "b.csv"], "unrecognized arguments: b.csv"),
        ("compare", ["runs/a", "runs/b", "-x"], "there is no option -x"),
    ],
)
def test_what_has_no_place_on_a_command_line_is_told_in_a_sentence(
    command: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        COMMANDS[command].settings_class().load(arguments, f"python -m pipelines.{command}")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("predict", ["--prompt", "-5", "--response-a", "- a list", "--response-b", "-"]),
        ("predict", ["--prompt", "", "--response-a=-x", "--response-b=--trials 3"]),
        ("submit", ["--out-columns", "winner", "other", "--test", "a.csv"]),
        ("submit", ["--out-columns=winner", "other", "--no-verbose"]),
        ("train_ensemble", ["--battles", '{"prompt": "question"}', "--dry-run"]),
        ("compare", ["--seed", "1", "runs/a", "runs/b"]),
        ("compare", ["--", "runs/a", "-b"]),
    ],
)
def test_what_looks_odd_and_has_its_place_is_understood(command: str, arguments: list[str]) -> None:
    COMMANDS[command].settings_class().load(arguments, f"python -m pipelines.{command}")


def test_an_unknown_variable_is_answered_and_one_of_another_command_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEATLAB_TRIALS", "5")
    monkeypatch.setenv("FEATLAB_BATTLES__PROMPT", "question")
    monkeypatch.setenv("FEATLAB_THREADS", "1")
    SubmitSettings.load([], "submit")
    monkeypatch.setenv("FEATLAB_TRAILS", "5")
    with pytest.raises(ConfigError, match="FEATLAB_TRAILS; did you mean FEATLAB_TRIALS"):
        SubmitSettings.load([], "submit")
