from pathlib import Path
from typing import get_args

import pytest

from featlab.battles import (
    LAYOUT_NAMES,
    WSDM,
    BattleSchema,
    ChosenFirst,
    LabelColumn,
    OneHotColumns,
    TextFormat,
)
from featlab.errors import ConfigError
from pipelines.run.battle_settings import Layouts, Texts
from pipelines.run.settings import SubmitSettings, TrainSettings


def load(*arguments: str) -> TrainSettings:
    return TrainSettings.load(list(arguments), "train")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 1\ntrials = 11\nfolds = 4\n[battles]\nlayout = "wsdm"\n')
    return path


def test_command_line_wins_over_environment_over_file_over_default(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATLAB_SEED", "2")
    monkeypatch.setenv("FEATLAB_TRIALS", "22")
    settings = load("--config", str(toml), "--seed", "3")
    assert (settings.seed, settings.trials, settings.folds) == (3, 22, 4)
    assert settings.repeats == TrainSettings.model_fields["repeats"].default
    assert settings.battles.layout == "wsdm"


def test_nested_settings_come_from_everywhere(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATLAB_BATTLES__PROMPT", "question")
    settings = load("--config", str(toml), "--battles.response-a", "left")
    columns = ("id", "question", "left", "response_b", "winner", "language")
    schema = settings.battles.recognised([dict.fromkeys(columns, "x")]).schema
    assert (schema.prompt, schema.response_a, schema.language) == ("question", "left", "language")
    assert schema.outcome == WSDM.outcome


def test_a_label_column_replaces_three_columns() -> None:
    rows = [{"prompt": "x", "response_a": "y", "response_b": "z", "verdict": "left one"}]
    for option in ("--battles.winner", "--battles.outcome"):
        settings = load(option, "verdict", "--battles.a-words", "left one", "first").battles
        assert settings.recognised(rows).schema.outcome == LabelColumn(
            "verdict", a=("left one", "first")
        )


def test_every_role_can_be_said() -> None:
    rows = [
        dict.fromkeys(("key", "ask", "one", "two", "w1", "w2", "w3", "m1", "m2", "tongue"), "x")
    ]
    said = [
        *("--battles.id", "key", "--battles.prompt", "ask", "--battles.response-a", "one"),
        *("--battles.response-b", "two", "--battles.outcome", "w1", "w2", "w3"),
        *("--battles.model-a", "m1", "--battles.model-b", "m2", "--battles.language", "tongue"),
        *("--battles.texts", "plain"),
    ]
    schema = load(*said).battles.recognised(rows).schema
    assert schema == BattleSchema(
        *("key", "ask", "one", "two"),
        outcome=OneHotColumns("w1", "w2", "w3"),
        model_a="m1",
        model_b="m2",
        language="tongue",
        texts="plain",
    )
    chosen = load("--battles.chosen", "one", "--battles.rejected", "two", "--seed", "3")
    found = chosen.battles.recognised(rows, chosen.seed).schema
    assert (found.outcome, found.exchange) == (ChosenFirst(), 3)
    with pytest.raises(
        ConfigError, match=r"--battles\.response-a and --battles\.chosen name the same"
    ):
        load("--battles.chosen", "one", *said).battles.recognised(rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--folds", "2"],
        ["--trials", "many"],
        ["--preset", "gigantic"],
        ["--config", "nowhere.toml"],
        ["--battles.texts", "xml"],
    ],
)
def test_wrong_values_give_a_typed_error(arguments: list[str]) -> None:
    with pytest.raises((ConfigError, SystemExit)) as caught:
        load(*arguments)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 2


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("sede = 1\n")
    with pytest.raises(ConfigError, match="sede"):
        load("--config", str(path))
    with pytest.raises(ConfigError, match="--sede; did you mean --seed"):
        load("--sede", "1")


def test_broken_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("seed = = 1\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        load("--config", str(path))


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        SubmitSettings.load(["--help"], "submit")
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--run", "--test", "--out", "--config"))


def test_layouts_and_formats_are_those_that_can_be_read() -> None:
    assert set(get_args(Layouts)) == {"auto", *LAYOUT_NAMES}
    assert set(get_args(Texts)) == set(get_args(TextFormat))


@pytest.mark.parametrize(
    ("arguments", "given", "extra", "signals"),
    [
        (["--given", "llm=a.csv,b.csv", "x=c.csv"], ["llm=a.csv,b.csv", "x=c.csv"], [], None),
        (["--given=llm=a.csv,b.csv"], ["llm=a.csv,b.csv"], [], None),
        (["--extra", "a,b.csv:0.5", "--extra", "c.csv"], [], ["a,b.csv:0.5", "c.csv"], None),
        (["--extra", '["a.csv"]'], [], ["a.csv"], None),
        (["--signals", "text", "lexical"], [], [], ["text", "lexical"]),
        (["--signals", "text,lexical"], [], [], ["text", "lexical"]),
        (["--signals=text", "--signals", "lexical"], [], [], ["text", "lexical"]),
    ],
)
def test_several_values_of_an_option(
    arguments: list[str], given: list[str], extra: list[str], signals: list[str] | None
) -> None:
    settings = TrainSettings.load(arguments, "python -m pipelines.train_ensemble")
    assert (settings.given, settings.extra, settings.signals) == (given, extra, signals)
