"""The settings of every command, typed; `pipelines.run.command_settings` says where from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from featlab.errors import ConfigError
from pipelines.download.names import COMPETITION, RELEASE
from pipelines.run.battle_settings import BattleSettings
from pipelines.run.command_settings import CommandSettings
from pipelines.run.encoder_settings import EncoderSettings

ROWS = 57_477
"""Battles in the competition's train.csv."""

COMPETITION_SHA256 = "0692154a"
"""How the checksum of the competition's train.csv begins."""

Preset = Literal["auto", "fast", "cpu", "modernbert", "llm"]


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
    battles: BattleSettings = BattleSettings()


class SubmitSettings(PredictingSettings):
    """Settings of ``pipelines.submit``."""

    test: Path = Field(Path("data/test.csv"), description="battles to predict")
    out: Path = Field(Path("submission.csv"), description="CSV to write")
    out_columns: list[str] | None = Field(
        None,
        description="columns beside id: one for the winner, or one for each outcome's probability; "
        "the layout's own by default",
    )


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
