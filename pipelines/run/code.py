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
        digest.update(f"{module}\n{ast.dump(_without_docstrings(_parsed(module)))}\n".encode())
    return digest.hexdigest()


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if _source(name.name))
        elif isinstance(node, ast.ImportFrom):
            home = _absolute(node, module)
            for name in node.names:
                if target := _home_of(home, name.name):
                    yield target


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    source = _source(module)
    inside = node.level - (source is not None and source.name == "__init__.py")
    package = module.split(".")[: len(module.split(".")) - inside]
    return ".".join([*package, *([node.module] if node.module else [])])


def _home_of(module: str, name: str) -> str | None:
    """Return the module that defines a name which another one imports from `module`."""
    source = _source(module)
    if source is None:
        return None
    if source.name == "__init__.py":
        if _source(f"{module}.{name}"):
            return f"{module}.{name}"
        for node in ast.walk(_parsed(module)):
            if isinstance(node, ast.ImportFrom):
                for handed_on in node.names:
                    if (handed_on.asname or handed_on.name) == name:
                        return _home_of(_absolute(node, module), handed_on.name)
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


def _parsed(module: str) -> ast.Module:
    source = _source(module)
    if source is None:
        raise ModuleNotFoundError(module)
    status = source.stat()
    return _parsed_file(source, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _parsed_file(source: Path, modified: int, size: int) -> ast.Module:
    return ast.parse(source.read_bytes())


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return tree
