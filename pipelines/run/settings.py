"""Every setting of every command, typed, from the command line, environment and TOML.

What the command line says wins over the environment (``FEATLAB_SEED=1``), which
wins over a TOML file (``--config settings.toml``), which wins over the default.
Every command reads the settings it needs and refuses the ones it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliPositionalArg,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from featlab.errors import ConfigError
from models.preference.fine_tune_settings import FineTuneSettings, Reading
from pipelines.download.names import COMPETITION, RELEASE

# What reads battles is imported where they are read: --help waits for no table engine.
if TYPE_CHECKING:
    from featlab.battles import Recognised, Source
    from featlab.battles.outcome_columns import Outcome

ROWS = 57_477
"""Battles in the competition's train.csv."""

COMPETITION_SHA256 = "0692154a"
"""How the checksum of the competition's train.csv begins."""

Preset = Literal["auto", "fast", "cpu", "modernbert", "llm"]
Layouts = Literal[
    "auto",
    "arena-33k",
    "mt-bench",
    "arena-100k",
    "arena-140k",
    "chosen-rejected",
    "wsdm",
    "arena",
]
Texts = Literal["json_list", "plain", "conversation", "transcript"]


class BattleSettings(BaseModel):
    """The layout of battle files, recognised from their columns unless it is said here."""

    model_config = ConfigDict(extra="forbid")

    layout: Layouts = Field("auto", description="known layout; auto tells it from the columns")
    id: str | None = Field(None, description="column of ids")
    prompt: str | None = Field(None, description="column of prompts")
    response_a: str | None = Field(None, description="column of first responses")
    response_b: str | None = Field(None, description="column of second responses")
    conversation_a: str | None = Field(None, description="column of first conversations")
    conversation_b: str | None = Field(None, description="column of second conversations")
    chosen: str | None = Field(None, description="column of responses that were chosen")
    rejected: str | None = Field(None, description="column of responses that were rejected")
    outcome: list[str] | None = Field(
        None, description="one column that names the winner, or three (two) of 0 and 1"
    )
    winner: str | None = Field(None, description="as --battles.outcome with one column")
    a_words: list[str] | None = Field(None, description="words for: a won")
    b_words: list[str] | None = Field(None, description="words for: b won")
    tie_words: list[str] | None = Field(None, description="words for: nobody won")
    model_a: str | None = Field(None, description="column of first models' names")
    model_b: str | None = Field(None, description="column of second models' names")
    language: str | None = Field(None, description="column of languages")
    texts: Texts | None = Field(None, description="what a text cell holds")

    def recognised(self, source: Source, seed: int = 0) -> Recognised:
        """Return the schema of a file: as set here, and recognised where nothing is set.

        Parameters
        ----------
        source : path, pattern or frame
        seed : int
            Exchanges the sides of files in which the chosen response comes first.

        Raises
        ------
        ConfigError
            When settings contradict each other.
        BattleError
            When the file cannot be read.
        """
        from featlab.battles import ChosenFirst, Recognised, recognise

        found = recognise(source, self.layout, self._roles())
        schema = found.schema
        outcome = self._outcome(schema.outcome)
        exchange = seed if isinstance(outcome, ChosenFirst) else None
        return Recognised(replace(schema, outcome=outcome, exchange=exchange), found.reason)

    @property
    def by_hand(self) -> bool:
        """Whether anything is set at all."""
        return self != BattleSettings()

    def _roles(self) -> dict[str, str | None]:
        sides = {}
        for side, other in (("a", "chosen"), ("b", "rejected")):
            names = (f"response_{side}", f"conversation_{side}", other)
            given = [name for name in names if getattr(self, name)]
            if len(given) > 1:
                options = " and ".join(f"--battles.{name.replace('_', '-')}" for name in given)
                raise ConfigError(f"{options} name the same side; give one of them")
            sides[f"response_{side}"] = getattr(self, given[0]) if given else None
        kept = ("id", "prompt", "model_a", "model_b", "language", "texts")
        return sides | {name: getattr(self, name) for name in kept}

    def _outcome(self, found: Outcome) -> Outcome:
        from featlab.battles import ChosenFirst, LabelColumn, OneHotColumns

        columns = self.outcome or ([self.winner] if self.winner else [])
        if len(columns) > 3:
            raise ConfigError("--battles.outcome takes one column, or two or three of 0 and 1")
        if len(columns) > 1:
            return OneHotColumns(columns[0], columns[1], columns[2] if len(columns) > 2 else None)
        words = {
            side: tuple(given)
            for side, given in zip("ab", (self.a_words, self.b_words), strict=True)
            if given
        }
        if self.tie_words:
            words["tie"] = tuple(self.tie_words)
        if columns:
            return LabelColumn(columns[0], **words)
        if self.chosen:
            return ChosenFirst()
        if words and isinstance(found, LabelColumn):
            return LabelColumn(found.column, **words)
        if words:
            raise ConfigError("words for outcomes need their column: --battles.outcome NAME")
        return found


class EncoderSettings(BaseModel):
    """Which encoder reads the battles, and how it is fine-tuned; the preset's where not said."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, description="encoder or decoder, by name or folder, in place of the preset's"
    )
    max_tokens: int | None = Field(None, description="tokens of prompt and response together")
    store: Path | None = Field(None, description="embedding store; a cache folder by default")
    warm_up_epochs: int | None = Field(
        None, description="passes over the battles' texts as a masked language model, before"
    )
    epochs: int | None = Field(None, description="passes over the battles")
    learning_rate: float | None = Field(None, description="of the last layer, or of adapters")
    label_smoothing: float | None = Field(None, description="share of a target spread evenly")
    identity_weight: float | None = Field(
        None, description="weight of the auxiliary loss on model names"
    )
    lora_rank: int | None = Field(
        None, description="train adapters of this rank; 0 trains the whole encoder"
    )
    four_bits: bool | None = Field(
        None, description="with adapters, hold the weights in 4 bits; CUDA and bitsandbytes"
    )
    recompute: bool | None = Field(
        None, description="a third more time of training for a fraction of its memory"
    )
    reading: Reading | None = Field(
        None, description="whether a sequence holds one response or both, in either order"
    )
    soft_labels: Path | None = Field(
        None, description="a teacher's probabilities to distil: id and the submission's columns"
    )

    def fine_tuning(self, preset: FineTuneSettings) -> FineTuneSettings:
        """Return a preset's fine-tuning with what these settings say in its place."""
        others = {"model", "max_tokens", "store", "soft_labels"}
        return replace(preset, **self.model_dump(exclude=others, exclude_none=True))


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
        from pipelines.run.help import answer, refuse_unknown

        if answer(program.rpartition("pipelines.")[2], arguments):
            raise SystemExit(0)
        refuse_unknown(cls, arguments)
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
        except (SettingsError, ValueError, RecursionError) as error:
            raise ConfigError(f"settings cannot be read: {error}") from None
        finally:
            _toml_path = None

    @classmethod
    def _spread(cls, arguments: Sequence[str]) -> list[str]:
        """``--signals text lexical`` as ``--signals text --signals lexical``."""
        lists = {f"--{name}" for name in _list_options(cls)}
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


def _list_options(model: type[BaseModel]) -> Iterator[str]:
    """Return the names of options that take several values, those of groups as ``group.name``."""
    for name, field in model.model_fields.items():
        option = name.replace("_", "-")
        if "list[" in str(field.annotation):
            yield option
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{option}.{inner}" for inner in _list_options(field.annotation))


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

    data: Path = Field(
        Path("data"), description="training battles: a folder, a file, or a pattern of files"
    )
    battles: BattleSettings = BattleSettings()
    families: list[str] | None = Field(
        None, description="feature families of the text signal; all by default"
    )
    features: Path | None = Field(
        None, description="Python file of your own features, which join the text signal"
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
    given: list[str] = Field(
        [],
        description="NAME=train.csv[,test.csv]: another model's out-of-fold probabilities "
        "as a signal",
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
    budget: str | None = Field(
        None,
        pattern="^[1-9][0-9]*[smh]$",
        description="time for all of it, as 90s, 20m or 2h: trials, repeats and measuring are cut "
        "to fit; signals and the first of either are not",
    )


class BundleSettings(CommandSettings):
    """What commands that read a bundle take besides."""

    trust: list[str] = Field(
        [], description="modules, and files of features, outside this project that may run"
    )


class PredictingSettings(BundleSettings):
    """What commands that predict new battles take besides."""

    given: list[str] = Field(
        [], description="NAME=FILE: another model's probabilities of these battles"
    )


class SubmitSettings(PredictingSettings):
    """Settings of ``pipelines.submit``."""

    test: Path = Field(Path("data/test.csv"), description="battles to predict")
    out: Path = Field(Path("submission.csv"), description="CSV to write")
    out_columns: list[str] | None = Field(
        None,
        description="columns beside id: one for the winner, or one for each outcome's probability; "
        "the layout's own by default",
    )
    battles: BattleSettings = BattleSettings()


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
    against: Path | None = Field(
        None, description="another run of the same battles to compare with"
    )
    examples: bool = Field(True, description="show example battles, collapsed, on the page")
    readme_figures: Path | None = Field(
        None, description="write the README's figures into this folder, and nothing else"
    )


class DataCommandSettings(CommandSettings):
    """Settings of ``pipelines.data``."""

    data: Path = Field(Path("data"), description="folder to put train.csv into")
    source: Literal["auto", "hub", "kaggle"] = Field(
        "auto", description="where from; auto is kaggle with credentials for it, else hub"
    )
    release: str = Field(RELEASE, description="dataset on the hub")
    competition: str = Field(COMPETITION, description="competition on Kaggle")
    rows: int = Field(ROWS, ge=1, description="battles that train.csv must hold")
    sha256: str = Field(
        COMPETITION_SHA256,
        pattern="^[0-9a-f]{0,64}$",
        description="how the sha256 of Kaggle's train.csv must begin; empty for any",
    )


class DemoSettings(TrainSettings):
    """Settings of ``pipelines.demo``."""

    run: Path = Field(Path("runs/demo"), description="run folder")
    preset: Preset = Field("fast", description="which signals take part")
    trials: int = Field(8, ge=1, description="Optuna trials, pruned ones included")
    repeats: int = Field(1, ge=1, description="seeds a fold whose models are averaged")
    fold_repeats: int = Field(
        1, ge=0, description="other foldings on which the tuned parameters are scored again"
    )
    battles_to_train: int = Field(1200, ge=50, description="generated training battles")
    battles_to_test: int = Field(600, ge=50, description="generated test battles")


class KaggleKitSettings(CommandSettings):
    """Settings of ``pipelines.kaggle_kit``."""

    out: Path = Field(Path("kaggle"), description="folder to write the kit into")
    owner: str | None = Field(None, description="your name on Kaggle; KAGGLE_USERNAME by default")
    name: str = Field(
        "featlab-kit", pattern="^[a-z0-9-]{6,45}$", description="the dataset's name on Kaggle"
    )
    competition: str = Field(COMPETITION, description="competition on Kaggle")
    python_version: str = Field("3.12", pattern=r"^3\.\d+$", description="Python of Kaggle's image")
    all_wheels: bool = Field(False, description="also the packages that the image has, torch apart")
    sample: Path | None = Field(
        None, description="battles to time the bundle on; generated ones by default"
    )


class OneBattleSettings(PredictingSettings):
    """What commands take that read one battle, or a file of them."""

    file: str | None = Field(
        None, description="battles: CSV, parquet or JSON lines, or - for standard input"
    )
    prompt: str | None = Field(None, description="prompt of a single battle")
    response_a: str | None = Field(None, description="its first response")
    response_b: str | None = Field(None, description="its second response")
    out: Path | None = Field(None, description="CSV to write; standard output by default")

    def pair(self) -> tuple[str, str, str] | None:
        """Return prompt and responses where a single battle is asked for.

        Raises
        ------
        ConfigError
            When it is neither a whole battle nor a file.
        """
        texts = (self.prompt, self.response_a, self.response_b)
        if self.file is not None and texts == (None, None, None):
            return None
        if self.file is not None or None in texts:
            raise ConfigError(
                "give one battle by --prompt, --response-a and --response-b, or many by --file"
            )
        prompt, a, b = texts
        return prompt or "", a or "", b or ""


class PredictSettings(OneBattleSettings):
    """Settings of ``pipelines.predict``."""


class ExplainSettings(OneBattleSettings):
    """Settings of ``pipelines.explain``."""


class EvaluateSettings(PredictingSettings):
    """Settings of ``pipelines.evaluate``."""

    file: str = Field(description="battles with outcomes: CSV, parquet or JSON lines, or -")
    out: Path | None = Field(None, description="JSON to write every metric into")
    seed: int = Field(0, ge=0, description="root of the resampling")


class CompareSettings(CommandSettings):
    """Settings of ``pipelines.compare``."""

    runs: CliPositionalArg[list[Path]] = Field(
        [], description="run folders, two or more; the first is what the others are held against"
    )
    seed: int = Field(0, ge=0, description="root of the resampling")


class RunsSettings(CommandSettings):
    """Settings of ``pipelines.runs``."""

    root: Path = Field(Path("runs"), description="folder of run folders")


class PlaySettings(BundleSettings):
    """Settings of ``pipelines.play.__main__``."""

    port: int = Field(0, ge=0, le=65535, description="port of the page; 0 takes any that is free")


class ShardSettings(CommandSettings):
    """Settings of ``pipelines.shard_features``."""

    shards: str = Field(description="pattern of battle files, quoted: 'in/*.parquet'")
    out: Path = Field(description="folder that gets a parquet file of features for each")
    battles: BattleSettings = BattleSettings()
    families: list[str] | None = Field(None, description="feature families; all by default")
    ray: bool = Field(False, description="work on the Ray cluster that RAY_ADDRESS names")
    workers: int | None = Field(
        None, ge=1, description="Ray workers, one core each; all cores by default"
    )
