"""Compute the text signal of the training battles: ``python -m pipelines.features``.

Nothing is recomputed while the file, the settings and the declarations stay the
same, and `pipelines.train_ensemble` goes on from it.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles import BattleSchema, images_left_out, kind_of, settled
from featlab.battles.sources import KINDS
from featlab.errors import ConfigError
from featlab.features import feature_table
from featlab.files import files_matching
from featlab.progress import note
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.presets import context_of, text_kind
from pipelines.run.run import Run, open_run
from pipelines.run.settings import DataSettings, FeatureSettings
from pipelines.run.stages.battles import make_battles
from pipelines.run.stages.signal import make_signal

_GET_DATA = (
    "fetch the data with 'make data', put the competition's files there, or name another folder, "
    "a file or a pattern with --data (make: DATA=...)"
)


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
    """Return the training file, or the folder or pattern of training files.

    Parameters
    ----------
    data : Path
        A file, a pattern, or a folder: with a file called ``train``, with
        several whose names begin so, or with files of battles of any name.

    Raises
    ------
    ConfigError
        When there is none, with the ways to get it.
    """
    if data.is_file():
        return data
    if not data.is_dir():
        if files_matching(data):
            return data
        raise ConfigError(f"there is no {data}; {_GET_DATA}")
    files = sorted(file for file in data.iterdir() if file.is_file() and kind_of(file))
    whole = [file for file in files if file.name.partition(".")[0] == "train"]
    if whole:
        return min(whole, key=lambda file: (list(KINDS).index(kind_of(file) or ""), file.name))
    parts = [file for file in files if file.name.startswith("train")]
    if parts:
        return parts[0] if len(parts) == 1 else data / f"train*{parts[0].suffix}"
    others = [file for file in files if not file.name.startswith(("test", "sample"))]
    if not others:
        raise ConfigError(f"there is no train.csv or train.parquet in {data}; {_GET_DATA}")
    if len(others) < len(files) and len(others) > 1:
        raise ConfigError(
            f"{data} holds {others[0].name}, {others[1].name} and files to predict; name the "
            "training files by a pattern: --data 'FOLDER/name*.csv'"
        )
    return others[0] if len(others) == 1 else data


def read_once(run: Run, source: Path, settings: DataSettings) -> BattleSchema:
    """Make the first stage of every run: its battles in the canonical columns.

    Returns
    -------
    BattleSchema
        How they are read.
    """
    found = settings.battles.recognised(source, settings.seed)
    schema, said = settled(source, found.schema)
    note(f"{source.name}: layout {schema.layout}, since {found.reason}")
    for sentence in said:
        note(f"{source.name}: {sentence}")
    if images := images_left_out(source, schema):
        note(f"{source.name}: {images:,} parts of messages are no text and left out")
    run.stage(
        "battles",
        make_battles,
        inputs={"source": source},
        outputs={"battles": run.folder.battles},
        schema=schema,
    )
    return schema


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
