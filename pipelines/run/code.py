"""Which code makes a result: the modules that a module imports inside the project, and theirs.

A name that a package hands on (``from featlab.battles import TIE``) leads to the
module that defines it and not to the whole package. Imports inside functions
count; what is imported by a string does not, so a stage names the classes that it
is given. Comments and docstrings do not count: a reworded docstring must not
train an encoder again.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

PROJECT = ("featlab", "models", "pipelines")


def closure(roots: Iterable[str], packages: Iterable[str] = PROJECT) -> list[str]:
    """Return the modules that some modules need, themselves included, in alphabetical order.

    Parameters
    ----------
    roots : iterable of str
        Names of modules.
    packages : iterable of str
        The packages whose modules are followed; the roots' own always are.

    Examples
    --------
    >>> closure(["featlab.battles.turns"])
    ['featlab.battles.turns']
    """
    waiting = list(roots)
    followed = {*packages, *(root.partition(".")[0] for root in waiting)}
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += [name for name in _imports(module) if name.partition(".")[0] in followed]
    return sorted(found)


def code_fingerprint(roots: Iterable[str]) -> str:
    """Return a sha256 over what the modules of a `closure` do."""
    digest = sha256()
    for module in closure(roots):
        digest.update(f"{module}\n{_read(module).digest}\n".encode())
    return digest.hexdigest()


class _Module(NamedTuple):
    """What a module's source says: what it does, and ``import a.b``, ``from a import b as c``."""

    digest: str
    imports: tuple[str, ...]
    names: tuple[tuple[int, str, str, str], ...]
    """Level, where from, name there, name here."""


def _imports(module: str) -> Iterator[str]:
    read = _read(module)
    yield from (name for name in read.imports if _source(name))
    for level, home, name, _ in read.names:
        if target := _home_of(_absolute(level, home, module), name):
            yield target


def _absolute(level: int, home: str, module: str) -> str:
    if not level:
        return home
    source = _source(module)
    inside = level - (source is not None and source.name == "__init__.py")
    package = module.split(".")[: len(module.split(".")) - inside]
    return ".".join([*package, *([home] if home else [])])


def _home_of(module: str, name: str) -> str | None:
    """Return the module that defines a name which another one imports from `module`."""
    source = _source(module)
    if source is None:
        return None
    if source.name == "__init__.py":
        if _source(f"{module}.{name}"):
            return f"{module}.{name}"
        for level, home, handed_on, here in _read(module).names:
            if here == name:
                return _home_of(_absolute(level, home, module), handed_on)
    return module


def _source(module: str) -> Path | None:
    """Return the file of a Python module, where it has one."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file is None:
        try:
            spec = find_spec(module)
        except (ModuleNotFoundError, ValueError):
            return None
        file = spec.origin if spec else None
    return Path(file) if file is not None and file.endswith(".py") else None


def _read(module: str) -> _Module:
    source = _source(module)
    if source is None:
        raise ModuleNotFoundError(module)
    status = source.stat()
    return _read_file(source, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _read_file(source: Path, modified: int, size: int) -> _Module:
    tree = ast.parse(source.read_bytes())
    nodes = list(ast.walk(tree))
    imports = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    names = [
        (node.level, node.module or "", name.name, name.asname or name.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    for node in nodes:
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement for statement in body if not _is_docstring(statement)
            ]
    digest = sha256(ast.dump(tree).encode()).hexdigest()
    return _Module(digest, tuple(imports), tuple(names))


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
