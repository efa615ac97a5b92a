"""Many files in, one file of columns out for each: on this machine, or on several by Ray.

`make_shards` runs a `ShardTask` (`FeatureShards`, `EmbeddingShards`, or your own)
over files, keeps what is made already, and goes on where it stopped. The same
call on Ray is `featlab.shards.on_ray.make_shards_on_ray`.
"""

from featlab.shards.making import Made, Shard, ShardError, make_shard, plan_shards
from featlab.shards.running import ShardReport, find_sources, make_shards, write_manifest
from featlab.shards.tasks import EmbeddingShards, FeatureShards, ShardTask

__all__ = [
    "EmbeddingShards",
    "FeatureShards",
    "Made",
    "Shard",
    "ShardError",
    "ShardReport",
    "ShardTask",
    "find_sources",
    "make_shard",
    "make_shards",
    "plan_shards",
    "write_manifest",
]
