"""What can be wrong with a frame that a transformer is given."""

from __future__ import annotations

from featlab.errors import FeatlabError


class FrameError(FeatlabError):
    """What a transformer was given is no frame, lacks a column, or holds no text in it."""
