"""Features of many battle files: ``python -m pipelines.shard_features``.

A pattern of CSV and parquet files in, a parquet file of features out for each.
An interrupted run goes on where it stopped; a file that cannot be used is named
at the end, and the others are made nevertheless.
"""

from __future__ import annotations

from functools import partial

from featlab.features import BattleColumns
from featlab.progress import Progress, clock, note, task
from featlab.shards import FeatureShards, find_sources, make_shards
from pipelines.run.code import code_fingerprint
from pipelines.run.console import run_command
from pipelines.run.settings import ShardSettings


def main(settings: ShardSettings) -> None:
    """Make every shard that is not there yet."""
    sources = find_sources(settings.shards)
    schema = settings.battles.recognised(sources[0]).schema if settings.battles.by_hand else None
    features = FeatureShards(BattleColumns(families=settings.families), schema)
    code = code_fingerprint(["featlab.battles", "featlab.features"])
    make = make_shards
    if settings.ray:
        from featlab.shards.on_ray import make_shards_on_ray

        make = partial(make_shards_on_ray, workers=settings.workers)
    with task("shards", len(sources)) as advance:

        def tell(state: Progress) -> None:
            advance(state.done, f"{clock(state.seconds_left)} left by size")

        report = make(sources, settings.out, features, code=code, on_progress=tell)
    kept = sum(made.kept for made in report.made)
    new = len(report.made) - kept - len(report.failed)
    note(
        f"{new} shards made, {kept} kept, {len(report.failed)} failed; {report.rows:,} battles in "
        f"{settings.out} ({report.rows_per_second:,.0f} new ones a second)"
    )
    report.raise_failed()


if __name__ == "__main__":
    run_command(main, ShardSettings, "python -m pipelines.shard_features")
