"""Shards by a real Ray cluster on this machine: the bytes of the local run, whoever dies.

Skipped where Ray is not installed; ``make test-ray`` installs it and runs this.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featlab.progress import Progress
from featlab.shards import EmbeddingShards, FeatureShards, make_shards
from featlab.shards.on_ray import make_shards_on_ray
from tests.featlab.hash_encoder import SPEC, HashEncoder
from tests.featlab.shards.conftest import COLUMNS, shard_bytes

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed; see 'make test-ray'"
    ),
    # Its own warnings are Ray's to mend.
    pytest.mark.filterwarnings("default"),
]

STORE = 100_000_000
"""Bytes of each node's object store."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that does no work, and two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=STORE)
            ray.init(address=cluster.address, log_to_driver=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@dataclass(frozen=True)
class Mortal(FeatureShards):
    """Kills its worker once, in the middle of the second shard; slow enough to be watched."""

    died: Path = Path()

    def write(self, source: Path, target: Path) -> None:
        if "part1" in source.name and not self.died.exists():
            self.died.touch()
            target.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(source, target)
        time.sleep(0.5)


def test_a_killed_worker_costs_no_shard_and_no_byte(
    cluster: object, sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    died = tmp_path / "died"
    report = make_shards_on_ray(
        sources, tmp_path / "ray", Mortal(COLUMNS, died=died), workers=2, on_progress=lambda _: None
    )
    report.raise_failed()
    assert died.exists()
    make_shards(sources, tmp_path / "local", task)
    assert shard_bytes(tmp_path / "ray") == shard_bytes(tmp_path / "local")
    assert len(shard_bytes(tmp_path / "ray")) == len(sources)


def test_vectors_are_those_of_the_local_run_and_a_bad_file_is_named(
    cluster: object, sources: list[Path], tmp_path: Path
) -> None:
    sources[2].write_text("no parquet")
    task = EmbeddingShards(
        (("prompt", "response_a"), "response_b"), spec=SPEC, load_encoder=HashEncoder()
    )
    remote = make_shards_on_ray(sources, tmp_path / "ray", task)
    local = make_shards(sources, tmp_path / "local", task)
    assert [made.name for made in remote.failed] == ["part2.parquet"]
    assert [made.error for made in remote.made] == [made.error for made in local.made]
    assert shard_bytes(tmp_path / "ray") == shard_bytes(tmp_path / "local")
    assert len(shard_bytes(tmp_path / "ray")) == 3
    assert pl.read_parquet(tmp_path / "ray" / "part0.parquet").height == 15


def test_a_lost_machine_costs_no_shard_and_no_byte(
    cluster: Any, sources: list[Path], task: FeatureShards, tmp_path: Path
) -> None:
    living = Mortal(COLUMNS, died=tmp_path)  # a path that exists: nobody dies of himself
    lost = sorted(cluster.worker_nodes, key=lambda node: node.unique_id)[0]

    def lose_a_machine(progress: Progress) -> None:
        if progress.done == 1:
            cluster.remove_node(lost, allow_graceful=False)

    report = make_shards_on_ray(
        sources, tmp_path / "ray", living, workers=2, on_progress=lose_a_machine
    )
    report.raise_failed()
    assert len(cluster.worker_nodes) == 1
    make_shards(sources, tmp_path / "local", task)
    assert shard_bytes(tmp_path / "ray") == shard_bytes(tmp_path / "local")

    again = make_shards_on_ray(sources, tmp_path / "ray", living)
    assert all(made.kept for made in again.made)
