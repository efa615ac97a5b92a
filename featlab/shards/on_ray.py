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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featlab.errors import ConfigError, FeatlabError
from featlab.progress import ProgressCallback
from featlab.shards.making import Made, Shard, ShardReport, make_shard, make_shards
from featlab.shards.tasks import ShardTask

THREAD_VARIABLES = ("POLARS_MAX_THREADS", "FEATLAB_THREADS", "OMP_NUM_THREADS")

Batch = dict[str, npt.NDArray[Any]]


@dataclass
class ShardWorker:
    """A Ray Data callable with one task for its life, so that an encoder is loaded once."""

    shards: Sequence[Shard]
    task: ShardTask
    fingerprint: str

    def __call__(self, batch: Batch) -> Batch:
        """Make the shard whose number is the batch, and return what came of it as JSON."""
        shard = self.shards[batch["shard"].item()]
        try:
            made = make_shard(shard, self.task, self.fingerprint)
        except FeatlabError as error:
            made = Made(str(shard.source), shard.name, error=str(error))
        return {"made": np.array([json.dumps(asdict(made))])}


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
    """Make shards as `featlab.shards.make_shards` does, by workers of a Ray cluster.

    Joins the cluster that this process or ``RAY_ADDRESS`` names; without one,
    Ray starts one on this machine. A task that can work on no shard is told as an
    error of each.

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

    Raises
    ------
    ConfigError
        When Ray is not installed, or two sources would give the same shard.
    """
    try:
        import_module("ray.data")
    except ImportError:
        raise ConfigError("working on several machines needs Ray: install featlab[ray]") from None
    ray = import_module("ray")

    def on_cluster(shards: Sequence[Shard], task: ShardTask, fingerprint: str) -> Iterator[Made]:
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        resources = ray.cluster_resources()
        room = resources.get("CPU", 1.0) // cores
        if gpus:
            room = min(room, resources.get("GPU", 0.0) // gpus)
        size = min(workers or max(1, int(room)), max(len(shards), 1))
        numbers = [{"shard": number} for number in range(len(shards))]
        dataset = ray.data.from_items(numbers, override_num_blocks=max(len(numbers), 1))
        dataset.context.enable_progress_bars = False
        results = dataset.map_batches(
            ShardWorker,
            fn_constructor_args=(shards, task, fingerprint),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=cores,
            num_gpus=gpus,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(cores))},
        )
        return (Made(**json.loads(row["made"])) for row in results.iter_rows())

    absolute = [source.absolute() for source in sources]
    return make_shards(
        absolute, folder.absolute(), task, code=code, on_progress=on_progress, workers=on_cluster
    )
