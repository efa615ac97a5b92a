"""What a command line is told about commands and options, and about names that do not exist."""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings.sources.types import _CliPositionalArg

from featlab import __version__
from featlab.errors import ConfigError
from featlab.progress import note
from pipelines.run.command_settings import CommandSettings
from pipelines.run.commands import COMMANDS

PREFIX = "FEATLAB_"
OTHER_VARIABLES = (
    *("FEATLAB_STORE", "FEATLAB_THREADS"),
    *("FEATLAB_TEST_CASES", "FEATLAB_TEST_DATA", "FEATLAB_TEST_EXAMPLES"),
)
"""Variables that are no settings of a command."""

HELP = frozenset({"-h", "--help"})
VERSION = "--version"
_WIDTH, _COLUMN = 100, 34


@dataclass(frozen=True)
class Option:
    """One option of a command: ``battles.prompt``, say, and the field behind it."""

    name: str
    field: FieldInfo

    @property
    def kind(self) -> Any:
        """The type of one value, without None and list."""
        found = self.field.annotation
        while get_origin(found) in (Union, types.UnionType, list):
            found = next(part for part in get_args(found) if part is not type(None))
        return found

    @property
    def usage(self) -> str:
        """The option with what it takes, in words."""
        if self.kind is bool:
            negated = {True: "no-", False: "", None: "[no-]"}
            return f"--{negated[self.field.default]}{self.name}"
        if get_origin(self.kind) is Literal:
            value = "|".join(map(str, get_args(self.kind)))
        else:
            value = {int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(self.kind, "TEXT")
        several = " ..." if "list[" in str(self.field.annotation) else ""
        return f"{'' if self.positional else f'--{self.name} '}{value}{several}"

    @property
    def positional(self) -> bool:
        """Whether it is given without its name."""
        return _CliPositionalArg in self.field.metadata

    @property
    def meaning(self) -> str:
        """The description, and the default where it says something."""
        default = self.field.default
        if self.field.is_required():
            return f"{self.field.description} (required)"
        if default is None or default == [] or isinstance(default, bool):
            return self.field.description or ""
        shown = " ".join(map(str, default)) if isinstance(default, list) else str(default)
        return f"{self.field.description} (default: {shown or 'empty'})"


def options(settings: type[BaseModel], group: str = "") -> Iterator[Option]:
    """Yield every option of a command, those of groups as ``group.name``."""
    for name, field in settings.model_fields.items():
        option = group + name.replace("_", "-")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from options(field.annotation, f"{option}.")
        else:
            yield Option(option, field)


def help_text(name: str) -> str:
    """Return what ``--help`` shows of a command."""
    command, program = COMMANDS[name], f"python -m pipelines.{name}"
    lines = [f"usage: {program} [options]", "", command.sentence, "", "examples:"]
    lines += [f"  {program} {example}".rstrip() for example in command.examples]
    lines += ["", "options:"]
    for option in options(command.settings_class()):
        meaning = wrap(option.meaning, _WIDTH - _COLUMN) or [""]
        usage = f"  {option.usage}"
        if len(usage) >= _COLUMN:
            lines.append(usage)
            usage = ""
        lines.append(usage.ljust(_COLUMN) + meaning[0])
        lines += [" " * _COLUMN + more for more in meaning[1:]]
    lines += [
        "",
        f"Any option also by a TOML file (--config) or the environment ({PREFIX}RUN=runs/default).",
    ]
    return "\n".join(lines)


def overview() -> str:
    """Return the list of commands."""
    lines = ["usage: python -m pipelines.COMMAND [options]; --help of each says more", ""]
    lines += [f"  {name:<18}{command.sentence}" for name, command in COMMANDS.items()]
    return "\n".join(lines)


def answer(name: str, arguments: Collection[str]) -> bool:
    """Print what was asked for by ``--help`` or ``--version``; return whether anything was."""
    if HELP & set(arguments):
        print(help_text(name) if name in COMMANDS else overview())
    elif VERSION in arguments:
        print(f"featlab {__version__}")
    else:
        return False
    return True


def refuse_unknown(settings: type[CommandSettings], arguments: Sequence[str]) -> None:
    """Refuse options that do not exist and variables that no command reads.

    Raises
    ------
    ConfigError
        With the nearest that does exist.
    """
    known = [option.name for option in options(settings)]
    groups = {name.partition(".")[0] for name in known if "." in name}
    for argument in arguments:
        if argument == "--":
            break
        if argument.startswith("--") or (argument[1:2].isalpha() and argument.startswith("-")):
            option = argument.partition("=")[0]
            name = option.lstrip("-")
            plain = name.removeprefix("no-")
            if not option.startswith("--") or not {name, plain} & {*known, *groups}:
                raise ConfigError(f"there is no option {option}{nearest(name, known, '--')}")
    variables = {_variable(name) for name in known}
    unknown = [name for name in os.environ if name.startswith(PREFIX) and name not in variables]
    if not set(unknown) <= {*OTHER_VARIABLES}:
        for command in COMMANDS.values():
            variables |= {_variable(option.name) for option in options(command.settings_class())}
        variables |= {_variable(name.partition(".")[0]) for name in known}
    for variable in unknown:
        if variable not in {*variables, *OTHER_VARIABLES}:
            near = nearest(variable, [*variables, *OTHER_VARIABLES], "")
            if near:
                raise ConfigError(f"no command reads the variable {variable}{near}")
            note(f"no command reads the variable {variable}")


def nearest(name: str, known: Collection[str], prefix: str) -> str:
    """Return ``; did you mean ...?``, or nothing where nothing is near.

    Examples
    --------
    >>> nearest("trails", ["trials", "folds"], "--")
    '; did you mean --trials?'
    """
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {prefix}{found[0]}?" if found else ""


def _variable(option: str) -> str:
    return PREFIX + option.upper().replace("-", "_").replace(".", "__")
