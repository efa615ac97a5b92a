"""Vectors on disk by the content they belong to and the spec that made them.

`passages` says what an encoder reads, `source` gives its vectors, `store` keeps
them in `segments`.
"""

from featlab.vectors.segments import Keys, content_keys
from featlab.vectors.store import EmbeddingStore, Mode, open_store

__all__ = ["EmbeddingStore", "Keys", "Mode", "content_keys", "open_store"]
