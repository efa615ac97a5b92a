"""Guess against a run's model, on a page of this machine alone: ``python -m pipelines.play``."""

from __future__ import annotations

import signal
import socket

import models
from featlab.errors import ConfigError
from featlab.progress import note
from pipelines.play.battles import read_voted
from pipelines.run.console import run_command
from pipelines.run.folder import RunFolder
from pipelines.run.given_files import parse_given, trained_given
from pipelines.run.settings import PlaySettings

LOOPBACK = "127.0.0.1"


def main(settings: PlaySettings) -> None:
    """Serve the page until it is interrupted."""
    try:
        import uvicorn

        from pipelines.play.server import make_app
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the page needs {error.name}; make play installs it, or pip install '.[play]'"
        ) from error
    run = RunFolder(settings.run)
    battles = read_voted(run)
    given = {name: files[0] for name, files in parse_given(trained_given(run)).items()}
    there = {name: file for name, file in given.items() if file.is_file()}
    app = make_app(models.load(settings.run, settings.trust, there), battles, run.path.name)
    with listening(settings.port) as listener:
        port = listener.getsockname()[1]
        note(f"play on http://{LOOPBACK}:{port}/ - end it with Ctrl-C")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, ws="none",
            lifespan="off", limit_concurrency=32, timeout_keep_alive=5,
        )  # fmt: skip
        try:
            uvicorn.Server(config).run([listener])
        except KeyboardInterrupt as asked:
            # Ctrl-C is how it ends; a request to terminate has a status of its own.
            if asked.args != (signal.SIGINT,):
                raise


def listening(port: int) -> socket.socket:
    """Return a socket on this machine's own address, 0 for any free port.

    Raises
    ------
    ConfigError
        When the port is taken or not allowed.
    """
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be had ({error.strerror}); choose another with --port"
        ) from error


if __name__ == "__main__":
    run_command(main, PlaySettings, "python -m pipelines.play")
