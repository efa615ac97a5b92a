"""Compute the text signal of the training battles: ``python -m pipelines.features``.

One streaming pass from the file to ``signals/text.parquet``; nothing is
recomputed while the file, the settings and the declarations stay the same.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from featlab.battles import BattleSchema, explained, read_battles
from featlab.errors import BattleError, ConfigError
from featlab.features import BattleColumns, feature_table
from featlab.files import atomic_path, file_fingerprint
from pipelines.run.console import run_command, say
from pipelines.run.folder import RunFolder
from pipelines.run.settings import DataSettings, FeatureSettings

CODE = ("featlab.battles", "featlab.features")


def training_file(data: Path) -> Path:
    """The training file of a data folder.

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


def compute_text_signal(settings: DataSettings) -> BattleColumns:
    """Make ``signals/text.parquet`` where it is not there yet, and return its columns."""
    source = training_file(settings.data)
    schema = settings.battles.schema_of_battles()
    columns = BattleColumns(families=settings.families)
    run = RunFolder(settings.run)
    run.stage(
        "features",
        inputs={
            "battles": file_fingerprint(source),
            "schema": repr(schema),
            "columns": columns.fingerprint(),
        },
        outputs=[run.signal("text")],
        code=CODE,
        make=lambda: write_text_signal(source, schema, columns, run.signal("text")),
    )
    return columns


def write_text_signal(
    source: Path, schema: BattleSchema, columns: BattleColumns, target: Path
) -> None:
    """Stream the columns of a battle file into a parquet file, atomically."""
    with atomic_path(target) as path, explained(source, schema):
        columns.compute(read_battles(source, schema)).sink_parquet(path)
        ids = pl.read_parquet(path, columns=["id"])["id"]
        if ids.is_empty():
            raise BattleError("there is no battle in it", source=str(source))
        if ids.is_duplicated().any():
            raise BattleError(
                "holds duplicates",
                source=str(source),
                column=schema.id,
                rows=ids.filter(ids.is_duplicated()).unique(maintain_order=True).head(5).to_list(),
            )


def print_feature_table() -> None:
    """The table of features, as it stands, to standard output."""
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        fmt_str_lengths=200,
        tbl_width_chars=240,
        tbl_hide_dataframe_shape=True,
    ):
        print(feature_table())


def main(settings: FeatureSettings) -> None:
    """Compute the text signal, or list the features."""
    if settings.list:
        print_feature_table()
        return
    columns = compute_text_signal(settings)
    run = RunFolder(settings.run)
    say(f"{len(columns.names)} columns of {len(columns.features)} features in {run.signal('text')}")


if __name__ == "__main__":
    run_command(main, FeatureSettings, "python -m pipelines.features")
