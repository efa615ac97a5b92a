"""Entry points over a typed configuration: features, training, submission."""

import os
import resource
import signal
import sys


def _end_at_once(number: int, _: object) -> None:
    """End a command that has written nothing yet; imports would hide an exception."""
    os.write(2, b"interrupted before the work began\n")
    os._exit(128 + number)


def _refuse_to_starve() -> None:
    """End with status 2 where native code would be refused memory, which it answers by aborting."""
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    needed = LEAST_MEMORY + (os.cpu_count() or 1) * MEMORY_OF_A_THREAD
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        os.write(
            2,
            b"error: a command needs %d MiB of address space on this machine, ulimit -v allows %d; "
            b"allow more\n" % (needed >> 20, allowed >> 20),
        )
        os._exit(2)


LEAST_MEMORY = 2 << 30
MEMORY_OF_A_THREAD = 64 << 20

# With -m, this runs before the command's imports, which take seconds.
if sys.argv[:1] == ["-m"]:
    _refuse_to_starve()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)

# With -m, this runs before the command's imports, which take seconds that --help need not wait.
if sys.argv[:1] == ["-m"] and {"-h", "--help", "--version"} & set(sys.argv[1:]):
    from pipelines.run.help import answer

    _name = sys.orig_argv[sys.orig_argv.index("-m") + 1].removeprefix("pipelines").lstrip(".")
    if (_name or sys.argv[1].startswith("-")) and answer(_name, sys.argv[1:]):
        raise SystemExit(0)
