"""Give memory back to the system once a network is no longer needed."""

from __future__ import annotations

import ctypes
import gc
import sys

import torch


def free_memory() -> None:
    """Drop what only cycles hold, and hand freed memory back to card and system.

    A Trainer and its callbacks refer to each other, so that network and
    optimiser outlive their last use; and glibc keeps what threads have freed,
    about a gigabyte a fine-tuning, unless it is told to trim.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        # musl has no such function.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
