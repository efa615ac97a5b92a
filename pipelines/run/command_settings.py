"""Where settings come from, and what every command takes.

What the command line says wins over the environment (``FEATLAB_SEED=1``), which
wins over a TOML file (``--config settings.toml``), which wins over the default.
Every command reads the settings it needs and refuses the ones it does not know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import tomli_w
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from featlab.errors import ConfigError


class CommandSettings(BaseSettings):
    """What every command takes."""

    model_config = SettingsConfigDict(
        env_prefix="FEATLAB_",
        env_nested_delimiter="__",
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
    )

    config: Path | None = Field(None, description="TOML file with any of these settings")
    run: Path = Field(Path("runs/default"), description="run folder")
    verbose: bool = Field(False, description="log what each part does")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (added by the base class), then environment, then TOML."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _toml_path))

    @classmethod
    def load(cls, arguments: Sequence[str], program: str) -> Self:
        """Return the settings from all sources.

        Raises
        ------
        ConfigError
            When a value is of the wrong type or the TOML file cannot be read.
        SystemExit
            With status 2 for unknown options, 0 after ``--help``.
        """
        from pipelines.run.help import answer, refuse_unknown

        if answer(program.rpartition("pipelines.")[2], arguments):
            raise SystemExit(0)
        refuse_unknown(cls, arguments)
        global _toml_path
        _toml_path = _config_path(arguments)
        try:
            return cls(_cli_parse_args=cls._spread(arguments), _cli_prog_name=program)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors()
            )
            raise ConfigError(f"settings are wrong: {problems}") from None
        except (SettingsError, ValueError, RecursionError) as error:
            said = str(error).removeprefix("error parsing CLI: ")
            raise ConfigError(f"settings cannot be read: {said}") from None
        finally:
            _toml_path = None

    @classmethod
    def _spread(cls, arguments: Sequence[str]) -> list[str]:
        """``--signals text lexical`` as ``--signals text --signals lexical``.

        Names are parted at commas as well; files may have them in their names.
        """
        lists = {f"--{name}" for name in _list_options(cls)}
        spread = [""]
        for argument in arguments:
            name, equals, value = argument.partition("=")
            last = spread[-2] if len(spread) > 2 else ""
            if name in lists and equals:
                spread += [name, value]
                continue
            if last in lists and not argument.startswith("-"):
                spread.append(last)
            spread.append(argument)
        # As JSON, since the parser parts values at commas.
        return [
            json.dumps([value]) if option in _OF_FILES and value[:1] not in ("-", "[") else value
            for option, value in pairwise(spread)
        ]

    def as_toml(self) -> str:
        """Return the settings as resolved, in the form that ``--config`` reads."""
        return tomli_w.dumps(
            self.model_dump(mode="json", exclude_none=True, exclude={"config", "list", "dry_run"})
        )


_toml_path: Path | None = None

_OF_FILES = frozenset({"--given", "--extra"})


def _list_options(model: type[BaseModel]) -> Iterator[str]:
    """Return the names of options that take several values, those of groups as ``group.name``."""
    for name, field in model.model_fields.items():
        option = name.replace("_", "-")
        if "list[" in str(field.annotation):
            yield option
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{option}.{inner}" for inner in _list_options(field.annotation))


def _config_path(arguments: Sequence[str]) -> Path | None:
    """Return the TOML file, which must be known before the other settings are read."""
    given = os.environ.get("FEATLAB_CONFIG")
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            given = arguments[index + 1]
        elif argument.startswith("--config="):
            given = argument.removeprefix("--config=")
    if given is None:
        return None
    path = Path(given)
    if not path.is_file():
        raise ConfigError(f"there is no settings file {path}")
    return path
