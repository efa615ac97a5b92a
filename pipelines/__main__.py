"""List the commands, or run one by its name: ``python -m pipelines [COMMAND ...]``."""

from __future__ import annotations

import runpy
import sys

from pipelines.run.commands import COMMANDS
from pipelines.run.help import answer, nearest, overview


def main(arguments: list[str]) -> None:
    """List the commands, or hand over to one."""
    name = arguments[0].replace("-", "_") if arguments else ""
    if name in COMMANDS:
        if not answer(name, arguments[1:]):
            sys.argv = [f"pipelines.{name}", *arguments[1:]]
            runpy.run_module(f"pipelines.{name}", run_name="__main__", alter_sys=True)
    elif not name or not answer(name, arguments):
        print(overview(), file=sys.stderr if name else sys.stdout)
        if name:
            message = f"error: there is no command {arguments[0]}{nearest(name, COMMANDS, '')}"
            print(message, file=sys.stderr)
            raise SystemExit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
