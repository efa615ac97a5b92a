"""JSON of a file, held against the types that it should have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from featlab.errors import FileError
from featlab.files import read_json


def checked_json(path: Path, kind: TypeAdapter[Any]) -> Any:
    """Return the value of a JSON file whose parts all have their types.

    Raises
    ------
    FileError
        That names the file, and the first part that is missing or of another type.
    """
    value = read_json(path)
    try:
        kind.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        part = ".".join(map(str, first["loc"])) or "the whole"
        raise FileError(f"{path}: is damaged: {part}: {first['msg']}") from None
    return value
