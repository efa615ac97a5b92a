"""The same shards on a Ray cluster: Ray Data hands sources to workers that each keep one task.

What travels is a shard's number; each worker reads its source and writes its
shard by the same code as on one machine, so the bytes are the same. Sources and
folder must be on a file system that every machine sees under the same path. A
worker that dies is started anew and its shard made again; shards that are
finished stay finished, also when the whole cluster is lost.

Needs ``pip install featlab[ray]``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from featlab.errors import ConfigError, FeatlabError
from featlab.files import value_fingerprint
from featlab.progress import ProgressCallback
from featlab.shards.making import Made, Shard, make_shard, plan_shards
from featlab.shards.running import ShardReport, followed, write_manifest
from featlab.shards.tasks import ShardTask

THREAD_VARIABLES = ("POLARS_MAX_THREADS", "FEATLAB_THREADS", "OMP_NUM_THREADS")


class ShardWorker:
    """A Ray Data callable: numbers of shards in, what came of each out, as JSON.

    Parameters
    ----------
    shards : sequence of Shard
    task : ShardTask
        Lives as long as the worker, so an encoder is loaded once.
    fingerprint : str
    """

    def __init__(self, shards: Sequence[Shard], task: ShardTask, fingerprint: str) -> None:
        self.shards = shards
        self.task = task
        self.fingerprint = fingerprint

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Make the shards of a batch."""
        made = [json.dumps(asdict(self._make(self.shards[number]))) for number in batch["shard"]]
        return {"made": np.array(made)}

    def _make(self, shard: Shard) -> Made:
        try:
            return make_shard(shard, self.task, self.fingerprint)
        except FeatlabError as error:
            return Made(str(shard.source), shard.name, error=str(error))


def make_shards_on_ray(
    sources: Sequence[Path],
    folder: Path,
    task: ShardTask,
    *,
    workers: int | None = None,
    cores: int = 1,
    gpus: float = 0,
    code: str = "",
    on_progress: ProgressCallback | None = None,
) -> ShardReport:
    """As `featlab.shards.make_shards`, by workers of a Ray cluster.

    Joins the cluster that this process or ``RAY_ADDRESS`` names; without one,
    Ray starts one on this machine.

    Parameters
    ----------
    sources, folder, task, code, on_progress
        As there. The task is pickled.
    workers : int, optional
        As many as the cluster has room for by default.
    cores : int
        Cores, and so threads, of each worker.
    gpus : float
        Cards of each worker: 1 for an encoder on CUDA.

    Returns
    -------
    ShardReport
        A task that can work on no shard is told here as an error of each.

    Raises
    ------
    ConfigError
        When Ray is not installed, or two sources would give the same shard.

    Examples
    --------
    >>> sources = [Path("/shared/in/1.parquet"), Path("/shared/in/2.parquet")]
    >>> make_shards_on_ray(sources, Path("/shared/out"), FeatureShards())  # doctest: +SKIP
    """
    ray = _ray()
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    shards = plan_shards([source.absolute() for source in sources], folder.absolute())
    fingerprint = value_fingerprint([task.fingerprint(), code])
    start = time.monotonic()
    room = workers or _room(ray.cluster_resources(), cores, gpus)
    numbers = [{"shard": number} for number in range(len(shards))]
    dataset = ray.data.from_items(numbers, override_num_blocks=max(len(numbers), 1))
    dataset.context.enable_progress_bars = False
    results = dataset.map_batches(
        ShardWorker,
        fn_constructor_args=(shards, task, fingerprint),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(room, max(len(shards), 1))),
        num_cpus=cores,
        num_gpus=gpus,
        runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(cores))},
    )
    made = followed(_results(results), shards, on_progress)
    report = ShardReport(made, time.monotonic() - start)
    write_manifest(folder, shards, report)
    return report


def _ray() -> ModuleType:
    try:
        import_module("ray.data")
    except ImportError:
        raise ConfigError("working on several machines needs Ray: install featlab[ray]") from None
    return import_module("ray")


def _results(dataset: Any) -> Iterator[Made]:
    for row in dataset.iter_rows():
        yield Made(**json.loads(row["made"]))


def _room(resources: Mapping[str, float], cores: int, gpus: float) -> int:
    """Workers of so many cores and cards that a cluster of these resources holds."""
    by_cores = resources.get("CPU", 1.0) // cores
    by_cards = resources.get("GPU", 0.0) // gpus if gpus else by_cores
    return max(1, int(min(by_cores, by_cards)))
