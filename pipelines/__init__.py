"""Entry points over a typed configuration: features, training, submission."""

import sys

# With -m, this runs before the command's imports, which take seconds that --help need not wait.
if sys.argv[:1] == ["-m"] and {"-h", "--help", "--version"} & set(sys.argv[1:]):
    from pipelines.run.help import answer

    _name = sys.orig_argv[sys.orig_argv.index("-m") + 1].removeprefix("pipelines").lstrip(".")
    if (_name or sys.argv[1].startswith("-")) and answer(_name, sys.argv[1:]):
        raise SystemExit(0)
