"""Where a training stands, for whoever watches: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from featlab.progress import SECONDS_BETWEEN_LINES, clock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPace:
    """Where a training stands.

    Parameters
    ----------
    task : str
        What is being trained.
    step, steps : int
        Steps of the optimiser, done and in all.
    loss : float
        Mean loss since the last report; NaN before the first step.
    tokens_per_second : float
        Since the training began, on this process.
    seconds : float
        Since the training began.

    Examples
    --------
    >>> str(TrainingPace("fold 0", 50, 200, loss=1.0712, tokens_per_second=6100.0, seconds=60.0))
    'fold 0: step 50 of 200 (25%), loss 1.071, 6,100 tokens/s, 3:00 left'
    """

    task: str
    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds: float

    def __str__(self) -> str:
        share = self.step / max(self.steps, 1)
        left = clock(self.seconds * (1 - share) / share) if share else "?"
        return (
            f"{self.task}: step {self.step} of {self.steps} ({share:.0%}), loss {self.loss:.3f}, "
            f"{self.tokens_per_second:,.0f} tokens/s, {left} left"
        )


PaceCallback = Callable[[TrainingPace], None]
"""Called with the pace after every step."""


class ShownPace:
    """Draws one bar on a terminal; logs a line, at level INFO, every so often elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._last = time.monotonic()

    def __call__(self, pace: TrainingPace) -> None:
        """Show `pace`, in the log only if it is time."""
        if sys.stderr.isatty():
            self._draw(pace)
        elif pace.step == pace.steps or time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            logger.info("%s", pace)

    def _draw(self, pace: TrainingPace) -> None:
        if self._bar is None:
            tqdm = import_module("tqdm.auto").tqdm
            self._bar = tqdm(total=pace.steps, desc=pace.task, unit="step", file=sys.stderr)
        self._bar.set_postfix_str(f"loss {pace.loss:.3f}, {pace.tokens_per_second:,.0f} tokens/s")
        self._bar.update(pace.step - self._bar.n)
        if pace.step == pace.steps:
            self._bar.close()
