"""Embedding store: vectors on disk by the content they belong to and the spec that made them.

Needs numpy only. The contract of the files is in `featlab.store.shards`, that
of the folder in `featlab.store.store`.
"""

from featlab.store.keys import KEY_DTYPE, Keys, content_keys
from featlab.store.store import MODES, EmbeddingStore, Mode, VectorSpec, open_store

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
