"""Content keys: 128 bits of blake2b that stand for a text, whatever row or file it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

KEY_BYTES = 16
KEY_DTYPE = np.dtype(f"S{KEY_BYTES}")

Keys: TypeAlias = npt.NDArray[np.bytes_]
"""Array of dtype S16. NumPy pads this dtype with zero bytes, so equal means equal bit for bit."""


def content_keys(kind: str, contents: Iterable[bytes]) -> Keys:
    """The key of each content.

    Parameters
    ----------
    kind : str
        What the contents are, at most 16 bytes; the same bytes of another kind
        have another key, since they are read otherwise.
    contents : iterable of bytes

    Returns
    -------
    array of dtype S16, shape (n,)

    Examples
    --------
    >>> keys = content_keys("text", [b"x", b"y", b"x"])
    >>> (keys == keys[0]).tolist(), (keys == content_keys("pair", [b"x", b"y", b"x"])).any()
    ([True, False, True], np.False_)
    """
    person = kind.encode()
    blake2b = hashlib.blake2b
    digests = (
        blake2b(content, digest_size=KEY_BYTES, person=person).digest() for content in contents
    )
    return np.frombuffer(b"".join(digests), KEY_DTYPE)
