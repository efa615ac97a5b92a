"""What has been learned, as arrays and JSON: one function saves it and one loads it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlab.errors import BundleError
from featlab.files import atomic_path, read_json, write_json

FORMAT = 1
ARRAYS = "state.safetensors"
VALUES = "state.json"
FILES = "files"
PLAIN = frozenset({".json", ".safetensors", ".txt"})
"""Endings of the files that a state may hold: nothing that is code or a pickle."""


@dataclass(frozen=True)
class State:
    """What was learned.

    Parameters
    ----------
    arrays : mapping of str to array
        Numbers, written as safetensors.
    values : mapping of str to JSON value
        Names and settings.
    files : Path, optional
        A folder of further safetensors and JSON, written by a library in its
        own layout: an encoder's weights and tokenizer.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_state(State({"weights": np.ones(2)}, {"seed": 1}), Path(folder), "mine")
    ...     load_state(Path(folder), "mine").arrays["weights"]
    array([1., 1.])
    """

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Path | None = None


def save_state(state: State, folder: Path, name: str) -> None:
    """Write a state into a folder, in place of what it held.

    Parameters
    ----------
    state : State
    folder : Path
    name : str
        Whose state it is; `load_state` asks for the same.

    Raises
    ------
    BundleError
        When the state holds files of an ending that is not in `PLAIN`.
    """
    (folder / VALUES).unlink(missing_ok=True)
    if state.files is not None:
        odd = [
            path.name
            for path in state.files.rglob("*")
            if path.is_file() and path.suffix not in PLAIN
        ]
        if odd:
            raise BundleError(f"{name}: {', '.join(odd)} is neither safetensors nor JSON")
        if state.files.resolve() != (folder / FILES).resolve():
            shutil.copytree(state.files, folder / FILES, dirs_exist_ok=True)
    save_arrays(state.arrays, folder / ARRAYS)
    # Last, so that a folder that has it is whole.
    write_json(folder / VALUES, {"of": name, "format": FORMAT, "values": dict(state.values)})


def save_arrays(arrays: Mapping[str, NDArray[Any]], target: Path) -> None:
    """Write arrays as safetensors, atomically; an OSError where that cannot be."""
    from safetensors.numpy import save

    # The library writes the memory of a view as it lies, and so other numbers.
    contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    with atomic_path(target) as path:
        # The library's own writing would put another file in the place of the one that is held.
        path.write_bytes(save(contiguous))


def load_state(folder: Path, name: str) -> State:
    """Read what `save_state` wrote.

    Raises
    ------
    BundleError
        When the folder holds no state of that name.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        description = read_json(folder / VALUES)
        if description["format"] != FORMAT or description["of"] != name:
            raise BundleError(
                f"{folder / VALUES}: holds {description['of']} in format {description['format']}; "
                f"{name} in format {FORMAT} is needed"
            )
        if not isinstance(description["values"], dict):
            raise TypeError(f"{VALUES} holds no names with values")
        arrays = load_file(folder / ARRAYS)
        if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise ValueError(f"{odd[0]} is not finite")
        files = folder / FILES
        return State(arrays, description["values"], files if files.is_dir() else None)
    except BundleError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BundleError(f"{folder}: holds no {name}: {error}") from error
