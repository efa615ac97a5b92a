"""Every setting of every command, typed, from the command line, environment and TOML.

What the command line says wins over the environment (``FEATLAB_SEED=1``), which
wins over a TOML file (``--config settings.toml``), which wins over the default.
Every command reads the settings it needs and refuses the ones it does not know.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from featlab.battles import ARENA, WSDM, BattleSchema, LabelColumn
from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings

Preset = Literal["auto", "fast", "cpu", "modernbert"]


class BattleSettings(BaseModel):
    """Column roles where a file differs from the layout."""

    model_config = ConfigDict(extra="forbid")

    layout: Literal["arena", "wsdm"] = Field("arena", description="roles to start from")
    id: str | None = Field(None, description="column of ids")
    prompt: str | None = Field(None, description="column of prompts")
    response_a: str | None = Field(None, description="column of first responses")
    response_b: str | None = Field(None, description="column of second responses")
    texts: Literal["json_list", "plain"] | None = Field(None, description="what a text cell holds")
    winner: str | None = Field(None, description="one label column in place of three columns")

    def schema_of_battles(self) -> BattleSchema:
        """Return the battle schema these settings describe."""
        base = WSDM if self.layout == "wsdm" else ARENA
        return BattleSchema(
            id=self.id or base.id,
            prompt=self.prompt or base.prompt,
            response_a=self.response_a or base.response_a,
            response_b=self.response_b or base.response_b,
            outcome=LabelColumn(self.winner) if self.winner else base.outcome,
            model_a=base.model_a,
            model_b=base.model_b,
            language=base.language,
            texts=self.texts or base.texts,
        )


class EncoderSettings(BaseModel):
    """Which encoder reads the battles, and how it is fine-tuned."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="name or folder, in place of the preset's")
    max_tokens: int | None = Field(None, description="tokens of prompt and response together")
    store: Path | None = Field(None, description="embedding store; a cache folder by default")
    warm_up_epochs: int = Field(
        FineTuneSettings.warm_up_epochs,
        description="passes over the battles' texts as a masked language model, before",
    )
    epochs: int = Field(FineTuneSettings.epochs, description="passes over the battles")
    learning_rate: float = Field(FineTuneSettings.learning_rate, description="of the last layer")
    label_smoothing: float = Field(FineTuneSettings.label_smoothing, description="share spread")
    identity_weight: float = Field(
        FineTuneSettings.identity_weight, description="weight of the auxiliary loss on model names"
    )
    lora_rank: int = Field(FineTuneSettings.lora_rank, description="0 trains the whole encoder")
    soft_labels: Path | None = Field(
        None, description="a teacher's probabilities to distil: id and the submission's columns"
    )

    def fine_tuning(self) -> FineTuneSettings:
        """Return the fine-tuning these settings describe."""
        chosen = self.model_dump(exclude={"model", "max_tokens", "store", "soft_labels"})
        return FineTuneSettings(**chosen)


class CommandSettings(BaseSettings):
    """What every command takes."""

    model_config = SettingsConfigDict(
        env_prefix="FEATLAB_",
        env_nested_delimiter="__",
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    config: Path | None = Field(None, description="TOML file with any of these settings")
    run: Path = Field(Path("runs/default"), description="run folder")
    verbose: bool = Field(False, description="log what each part does")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (added by the base class), then environment, then TOML."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _toml_path))

    @classmethod
    def load(cls, arguments: Sequence[str], program: str) -> Self:
        """Return the settings from all sources.

        Raises
        ------
        ConfigError
            When a value is of the wrong type or the TOML file cannot be read.
        SystemExit
            With status 2 for unknown options, 0 after ``--help``.
        """
        global _toml_path
        _toml_path = _config_path(arguments)
        try:
            return cls(_cli_parse_args=cls._spread(arguments), _cli_prog_name=program)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors()
            )
            raise ConfigError(f"settings are wrong: {problems}") from None
        except (SettingsError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"settings cannot be read: {error}") from None
        finally:
            _toml_path = None

    @classmethod
    def _spread(cls, arguments: Sequence[str]) -> list[str]:
        """``--signals text lexical`` as ``--signals text --signals lexical``."""
        lists = {
            f"--{name.replace('_', '-')}"
            for name, field in cls.model_fields.items()
            if "list[" in str(field.annotation)
        }
        spread: list[str] = []
        for argument in arguments:
            last = spread[-2] if len(spread) > 1 else ""
            if last in lists and not argument.startswith("-"):
                spread.append(last)
            spread.append(argument)
        return spread

    def as_toml(self) -> str:
        """Return the settings as resolved, in the form that ``--config`` reads."""
        return tomli_w.dumps(
            self.model_dump(mode="json", exclude_none=True, exclude={"config", "list", "dry_run"})
        )


_toml_path: Path | None = None


def _config_path(arguments: Sequence[str]) -> Path | None:
    """Return the TOML file, which must be known before the other settings are read."""
    given = os.environ.get("FEATLAB_CONFIG")
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            given = arguments[index + 1]
        elif argument.startswith("--config="):
            given = argument.removeprefix("--config=")
    if given is None:
        return None
    path = Path(given)
    if not path.is_file():
        raise ConfigError(f"there is no settings file {path}")
    return path


class DataSettings(CommandSettings):
    """What commands that read training data take besides."""

    data: Path = Field(Path("data"), description="folder with train.csv or train.parquet")
    battles: BattleSettings = BattleSettings()
    families: list[str] | None = Field(
        None, description="feature families of the text signal; all by default"
    )
    seed: int = Field(0, ge=0, description="root of every random choice")


class FeatureSettings(DataSettings):
    """Settings of ``pipelines.features``."""

    list: bool = Field(False, description="print the table of features and stop")


class TrainSettings(DataSettings):
    """Settings of ``pipelines.train_ensemble``."""

    preset: Preset = Field("auto", description="which signals take part")
    signals: list[str] | None = Field(
        None, description="signals in place of the preset's; your own as my_module:MySignal"
    )
    extra: list[str] = Field(
        [],
        description="FILE or FILE:WEIGHT of further battles for the training side only; "
        "may be given several times",
    )
    encoder: EncoderSettings = EncoderSettings()
    dry_run: bool = Field(
        False, description="estimate the time of the encoder's part from a measured warm-up, stop"
    )
    folds: int = Field(5, ge=3, description="folds, grouped by prompt")
    trials: int = Field(60, ge=1, description="Optuna trials, pruned ones included")
    repeats: int = Field(3, ge=1, description="seeds a fold whose models are averaged")
    fold_repeats: int = Field(
        2, ge=0, description="other foldings on which the tuned parameters are scored again"
    )


class BundleSettings(CommandSettings):
    """What commands that read a bundle take besides."""

    trust: list[str] = Field(
        [], description="modules outside this project whose signals the bundle may run"
    )


class SubmitSettings(BundleSettings):
    """Settings of ``pipelines.submit``."""

    test: Path = Field(Path("data/test.csv"), description="battles to predict")
    out: Path = Field(Path("submission.csv"), description="CSV to write")


class LearningCurveSettings(BundleSettings):
    """Settings of ``pipelines.learning_curve``."""

    shares: list[float] = Field(
        [0.125, 0.25, 0.5, 0.7, 1.0], description="parts of the training battles, at least three"
    )
    draws: int = Field(2, ge=1, description="most subsets drawn for a share, as far as they fit")
    extrapolate_to: int = Field(
        57_477, ge=1, description="training battles to read the power law at: the competition's"
    )


class ReportSettings(BundleSettings):
    """Settings of ``pipelines.report.__main__``."""

    out: Path | None = Field(None, description="folder to write; the run's report folder if none")
    examples: bool = Field(True, description="show example battles, collapsed, on the page")
    readme_figures: Path | None = Field(
        None, description="write the README's figures into this folder, and nothing else"
    )
