"""Work in a child process that may be killed, starved or crash; all is imported already."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pipelines.demo import DemoSettings
from pipelines.demo import main as demo
from pipelines.features import main as features
from pipelines.learning_curve import main as learning_curve
from pipelines.run.console import run_command
from pipelines.run.settings import (
    CommandSettings,
    FeatureSettings,
    LearningCurveSettings,
    SubmitSettings,
    TrainSettings,
)
from pipelines.shard_features import ShardSettings
from pipelines.shard_features import main as shard_features
from pipelines.submit import main as submit
from pipelines.train_ensemble import main as train_ensemble

COMMANDS: dict[str, tuple[Callable[..., None], type[CommandSettings]]] = {
    "features": (features, FeatureSettings),
    "train_ensemble": (train_ensemble, TrainSettings),
    "submit": (submit, SubmitSettings),
    "shard_features": (shard_features, ShardSettings),
    "learning_curve": (learning_curve, LearningCurveSettings),
    "demo": (demo, DemoSettings),
}


class Child:
    """A forked process; what it writes goes to a file."""

    def __init__(self, work: Callable[[], None], said: Path) -> None:
        self.said = said
        self.start = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._work(work)

    def _work(self, work: Callable[[], None]) -> None:
        status = 1
        try:
            os.setsid()
            # Children that die by a signal leave no core.
            out = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            work()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            # Nothing of the parent's may run in its child.
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def kill_after(self, seconds: float, number: int = signal.SIGKILL) -> bool:
        """Send a signal to the child unless it ends before; return whether it was sent."""
        while time.monotonic() - self.start < seconds:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return False
            time.sleep(0.002)
        os.kill(self.pid, number)
        self.wait()
        return True

    def wait(self, seconds: float = 600) -> int:
        """Return the exit status, negative for a signal; a child that hangs is killed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.status = HUNG
        return HUNG


HUNG = -1000


def command(name: str, *arguments: str | Path) -> Callable[[], None]:
    """Return the work of one command."""
    main, settings = COMMANDS[name]
    return lambda: run_command(main, settings, name, [str(argument) for argument in arguments])


def run(said: Path, name: str, *arguments: str | Path) -> int:
    """Run one command to its end, and return its status."""
    said.unlink(missing_ok=True)
    return Child(command(name, *arguments), said).wait()
