"""Embedding store: vectors on disk by the content they belong to and the spec that made them.

Needs numpy only. The contract of the files is in `featlab.vectors.shards`, that
of the folder in `featlab.vectors.store`.
"""

from featlab.vectors.keys import KEY_DTYPE, Keys, content_keys
from featlab.vectors.store import MODES, EmbeddingStore, Mode, VectorSpec, open_store

__all__ = [
    "KEY_DTYPE",
    "MODES",
    "EmbeddingStore",
    "Keys",
    "Mode",
    "VectorSpec",
    "content_keys",
    "open_store",
]
