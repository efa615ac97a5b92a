"""Many files in, one file of columns out for each: on this machine, or on several by Ray.

`make_shards` runs a `ShardTask` (`FeatureShards`, `EmbeddingShards`, or your own)
over files, keeps what is made already, and goes on where it stopped. The same
call on Ray is `featlab.shards.on_ray.make_shards_on_ray`.
"""

from featlab.shards.making import Made, ShardError, ShardReport, find_sources, make_shards
from featlab.shards.tasks import EmbeddingShards, FeatureShards, ShardTask

__all__ = [
    "EmbeddingShards",
    "FeatureShards",
    "Made",
    "ShardError",
    "ShardReport",
    "ShardTask",
    "find_sources",
    "make_shards",
]
