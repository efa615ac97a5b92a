"""A run: stages that are made once, and kept while nothing that they are made from changes.

A stage is a function of files and values that writes files. It is made again
when a file it reads has other content, a value is another, or its code changed
(`pipelines.run.code`). The manifest says what each stage was made from and what
it wrote. One command at a time works on a run folder, and nothing in it changes
before the first stage that has to be made is made: a command that fails on its
settings or its input leaves a finished run as it was.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NotRequired

from filelock import FileLock, Timeout
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from featlab.errors import ConfigError, FileError
from featlab.files import (
    atomic_path,
    file_fingerprint,
    files_of,
    fingerprints,
    sweep,
    value_fingerprint,
    write_json,
)
from featlab.memory import return_freed_memory
from featlab.progress import LONG, clock, note, work
from featlab.versions import versions
from models.checked_json import checked_json
from pipelines.run.code import code_fingerprint
from pipelines.run.folder import RunFolder

LOCK = ".lock"

_PATTERN = set("*?[]")


class Run:
    """A run folder that this process may change; made by `open_run`.

    Parameters
    ----------
    folder : RunFolder
        Where everything lies.
    config : str, optional
        The resolved settings as TOML, written with the first stage that is made;
        those that are there stay by default.
    """

    def __init__(self, folder: RunFolder, config: str | None) -> None:
        self.folder = folder
        self._config = config

    def stage(
        self,
        name: str,
        function: Callable[..., None],
        *,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Path | None],
        key: Mapping[str, Any] | None = None,
        code: Sequence[Any] = (),
        **values: Any,
    ) -> bool:
        """Call a function unless its outputs are there already; return whether it was called.

        It is called with inputs, outputs and values as keyword arguments.

        Parameters
        ----------
        name : str
            The stage's name in the manifest.
        function : callable
            Writes the outputs. Its module and what that imports are its code.
        inputs : mapping
            Files that it reads: paths, or sequences, mappings and dataclasses of
            them; folders count by the files in them, and ``None`` is no file.
        outputs : mapping of str to Path
            Files and folders that it writes inside the run folder.
        key : mapping, optional
            What stands for the values in the stage's key; the values themselves
            by default.
        code : sequence of classes and functions
            What it is handed that counts as its code.

        Raises
        ------
        ConfigError
            When an input changed while the stage read it.
        """
        read = self._fingerprints(inputs)
        made_from = {
            "inputs": read,
            "values": value_fingerprint(dict(values if key is None else key)),
            "code": code_fingerprint([part.__module__ for part in (function, *code)]),
        }
        manifest = read_manifest(self.folder)
        known = manifest["stages"].get(name)
        if known and known["made_from"] == made_from and self._intact(known["outputs"]):
            note(f"{name}: unchanged, nothing recomputed")
            return False
        return_freed_memory()
        _forget_peak_memory()
        start, worked = time.monotonic(), time.process_time()
        if known and known["seconds"] > LONG:
            note(f"{name}: took {clock(known['seconds'])} the last time")
        with work(name):
            function(**inputs, **outputs, **values)
        seconds, worked = time.monotonic() - start, time.process_time() - worked
        if changed := sorted({*read.items()} ^ {*self._fingerprints(inputs).items()}):
            raise ConfigError(
                f"{changed[0][0]} changed while {name} was made from it; run the command again"
            )
        self._write_config()
        manifest["versions"] = versions()
        manifest["stages"][name] = {
            "made_from": made_from,
            "seconds": round(seconds, 3),
            "processor_seconds": round(worked, 3),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "outputs": {
                str(file.relative_to(self.folder.path)): file_fingerprint(file)
                for output in outputs.values()
                for file in files_of(output)
            },
        }
        write_json(self.folder.manifest, manifest)
        note(f"{name}: done in {seconds:.1f} s")
        return True

    def finish(self) -> None:
        """Keep the settings, also where no stage had to be made again for them."""
        self._write_config()

    def _fingerprints(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """Return name -> sha256; names inside the run folder do not say where that lies."""
        root = self.folder.path
        return {
            str(file.relative_to(root) if file.is_relative_to(root) else file.resolve()): digest
            for file, digest in ((Path(name), d) for name, d in fingerprints(inputs).items())
        }

    def _write_config(self) -> None:
        if self._config is not None:
            with atomic_path(self.folder.config) as path:
                path.write_text(self._config, encoding="utf-8")

    def _intact(self, outputs: Mapping[str, str]) -> bool:
        return all(
            (self.folder.path / name).is_file()
            and file_fingerprint(self.folder.path / name) == expected
            for name, expected in outputs.items()
        )


def _forget_peak_memory() -> None:
    """Let the peak of this process's memory begin anew, where the system can do that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@contextmanager
def open_run(path: Path, config: str | None = None) -> Iterator[Run]:
    """Lock a run folder for this process; the lock dies with it.

    Parameters
    ----------
    path : Path
        The run folder, made if it is not there.
    config : str, optional
        The resolved settings as TOML, in place of those that are there.

    Raises
    ------
    ConfigError
        When the folder cannot be made or has the name of a pattern, or another
        process works on it.
    """
    if _PATTERN & set(str(path.absolute())):
        raise ConfigError(
            f"{path.absolute()} holds one of * ? [ ], by which tables are read as patterns; name "
            "another --run"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} is no place for a run: {error.strerror}") from None
    try:
        with FileLock(path / LOCK, timeout=0):
            sweep(path, below=True)
            yield Run(RunFolder(path), config)
    except Timeout:
        raise ConfigError(
            f"another command is at work in {path}; wait until it ends, or name another --run"
        ) from None


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Return a run's manifest; that of an empty run where there is none, or a damaged one.

    Every stage can be made again, so that a torn manifest costs time and no more.
    """
    empty: dict[str, Any] = {"stages": {}}
    if not folder.manifest.is_file():
        return empty
    try:
        found: dict[str, Any] = checked_json(folder.manifest, _MANIFEST)
    except FileError as error:
        note(f"{error}; every stage counts as not made")
        return empty
    return found


class _MadeFrom(TypedDict):
    inputs: dict[str, str]
    values: str
    code: str


class _Stage(TypedDict):
    made_from: _MadeFrom
    seconds: float
    outputs: dict[str, str]


class _Manifest(TypedDict):
    stages: dict[str, _Stage]
    versions: NotRequired[dict[str, str]]


_MANIFEST = TypeAdapter(_Manifest)


def require_finished(folder: RunFolder, *stages: str) -> dict[str, Any]:
    """Return the manifest of a run whose stages are made from each other's present outputs.

    Parameters
    ----------
    folder : RunFolder
    stages : str
        What must be there, with all that it was made from.

    Raises
    ------
    ConfigError
        When a stage is missing, was made from an older output of another, or
        wrote something else than what is there.
    """
    manifest = read_manifest(folder)
    made = manifest["stages"]
    makers = {output: name for name, stage in made.items() for output in stage["outputs"]}
    waiting, seen = list(stages), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in made:
            raise _unfinished(folder, f"no {name}")
        for output, digest in made[name]["outputs"].items():
            file = folder.path / output
            if not file.is_file() or file_fingerprint(file) != digest:
                raise _unfinished(folder, f"{output} is not as {name} wrote it")
        for path, digest in made[name]["made_from"]["inputs"].items():
            if maker := makers.get(path):
                if made[maker]["outputs"][path] != digest:
                    raise _unfinished(folder, f"{name} is older than {maker}")
                waiting.append(maker)
    if not folder.config.is_file():
        raise _unfinished(folder, f"no {folder.config.name}")
    return manifest


def _unfinished(folder: RunFolder, why: str) -> ConfigError:
    return ConfigError(f"{folder.path} is no finished run ({why}); run make train-ensemble first")
