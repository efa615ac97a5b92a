"""Compute the text signal of the training battles: ``python -m pipelines.features``.

Nothing is recomputed while the file, the settings and the declarations stay the
same, and `pipelines.train_ensemble` goes on from it.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.errors import ConfigError
from featlab.features import feature_table
from featlab.progress import note
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.presets import context_of, text_kind
from pipelines.run.run import Run, open_run
from pipelines.run.settings import DataSettings, FeatureSettings
from pipelines.run.stages.battles import make_battles
from pipelines.run.stages.signal import make_signal


def main(settings: FeatureSettings) -> None:
    """Compute the text signal, or list the features."""
    if settings.list:
        print_feature_table(settings)
        return
    kind = text_kind(settings)
    signal = kind.from_settings(context_of(settings), 0)
    source = training_file(settings.data)
    # The settings of a training stay: its later stages are then older than the columns.
    trained = RunFolder(settings.run).config.is_file()
    with open_run(settings.run, None if trained else settings.as_toml()) as run:
        read_once(run, source, settings)
        run.stage(
            "text",
            make_signal,
            inputs={"battles": run.folder.battles, "extra": None, "folds": None},
            outputs={
                "columns": run.folder.signal("text"),
                "extra_columns": None,
                "fitted": run.folder.fitted("text"),
            },
            key=signal.recipe(),
            code=[kind],
            kind=kind,
            context=context_of(settings),
        )
    features = len(signal.battle_columns.features)
    note(f"{len(signal.columns())} columns of {features} features in {run.folder.signal('text')}")


def training_file(data: Path) -> Path:
    """Return the training file of a data folder.

    Raises
    ------
    ConfigError
        When there is none, with the ways to get it.
    """
    for name in ("train.csv", "train.parquet"):
        if (data / name).is_file():
            return data / name
    raise ConfigError(
        f"there is no train.csv or train.parquet in {data}; fetch the data with 'make data', put "
        "the competition's files there, or name another folder with --data (make: DATA=...)"
    )


def read_once(run: Run, source: Path, settings: DataSettings) -> None:
    """Make the first stage of every run: its battles in the canonical columns."""
    run.stage(
        "battles",
        make_battles,
        inputs={"source": source},
        outputs={"battles": run.folder.battles},
        schema=settings.battles.schema_of_battles(),
    )


def print_feature_table(settings: DataSettings) -> None:
    """Print the table of features, as it stands, to standard output."""
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        fmt_str_lengths=200,
        tbl_width_chars=240,
        tbl_hide_dataframe_shape=True,
    ):
        print(feature_table(text_kind(settings)().battle_columns.available))


if __name__ == "__main__":
    run_command(main, FeatureSettings, "python -m pipelines.features")
