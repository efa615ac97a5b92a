"""Entry points over a typed configuration: features, training, submission."""

import os
import signal
import sys


def _end_at_once(number: int, _: object) -> None:
    """End a command that has written nothing yet; imports would hide an exception."""
    os.write(2, b"interrupted before the work began\n")
    os._exit(128 + number)


# With -m, this runs before the command's imports, which take seconds.
if sys.argv[:1] == ["-m"]:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)
