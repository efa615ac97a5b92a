"""A run folder: where each result lies, and which of them need not be made again.

A stage's result is kept as long as its key does not change: the fingerprints
of its inputs, its settings, and the source of the code that makes it. The
manifest holds the keys, the checksums of the outputs, and the time each took.
"""

from __future__ import annotations

import ast
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from featlab.files import file_fingerprint, read_json, value_fingerprint, write_json
from featlab.versions import versions
from pipelines.run.console import say


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Examples
    --------
    >>> str(RunFolder(Path("runs/x")).signal("text"))
    'runs/x/signals/text.parquet'
    """

    path: Path

    @property
    def manifest(self) -> Path:
        """Keys, checksums, versions and timings of the stages."""
        return self.path / "manifest.json"

    @property
    def folds(self) -> Path:
        """``id``, ``fold`` and ``group`` of every training battle."""
        return self.path / "folds.parquet"

    @property
    def out_of_fold(self) -> Path:
        """Calibrated out-of-fold probabilities."""
        return self.path / "oof.parquet"

    @property
    def metrics(self) -> Path:
        """Every reported figure."""
        return self.path / "metrics.json"

    @property
    def journal(self) -> Path:
        """Optuna's study."""
        return self.path / "study.journal"

    @property
    def bundle(self) -> Path:
        """What predicts."""
        return self.path / "bundle"

    @property
    def learning_curve(self) -> Path:
        """Loss by training battles, with its power law."""
        return self.path / "learning_curve.json"

    @property
    def report(self) -> Path:
        """Figures."""
        return self.path / "report"

    def fitted(self, name: str) -> Path:
        """The fold models of a signal that learned, a folder each."""
        return self.path / "fitted" / name

    def signal(self, name: str) -> Path:
        """The columns of a signal on the training battles, out of fold where it learns."""
        return self.path / "signals" / f"{name}.parquet"

    def extra_signal(self, name: str) -> Path:
        """The same columns of the extra battles, out of fold."""
        return self.path / "signals" / "extra" / f"{name}.parquet"

    @property
    def extra_outcomes(self) -> Path:
        """What the extra battles say: fold, outcome shares, weight, whether ties were possible."""
        return self.path / "signals" / "extra" / "outcomes.parquet"

    def stage(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any],
        outputs: Sequence[Path],
        code: Sequence[str],
        make: Callable[[], None],
    ) -> bool:
        """Run `make` unless its outputs are there already; return whether it ran.

        Parameters
        ----------
        name : str
            The stage's name in the manifest.
        inputs : mapping
            JSON-serialisable: fingerprints of files, settings.
        outputs : sequence of Path
            Files and folders that the stage writes inside the run folder.
        code : sequence of str
            Packages or modules whose source makes the result.
        make : callable
        """
        key = value_fingerprint({"inputs": inputs, "code": [source_fingerprint(m) for m in code]})
        manifest = read_json(self.manifest) if self.manifest.is_file() else {"stages": {}}
        known = manifest["stages"].get(name)
        if known and known["key"] == key and self._intact(known["outputs"]):
            say(f"{name}: unchanged, nothing recomputed")
            return False
        start = time.monotonic()
        make()
        seconds = time.monotonic() - start
        manifest["versions"] = versions()
        manifest["stages"][name] = {
            "key": key,
            "inputs": dict(inputs),
            "seconds": round(seconds, 3),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "outputs": {
                str(file.relative_to(self.path)): file_fingerprint(file) for file in _files(outputs)
            },
        }
        write_json(self.manifest, manifest)
        say(f"{name}: done in {seconds:.1f} s")
        return True

    def _intact(self, outputs: Mapping[str, str]) -> bool:
        return all(
            (self.path / name).is_file() and file_fingerprint(self.path / name) == expected
            for name, expected in outputs.items()
        )


def _files(outputs: Sequence[Path]) -> list[Path]:
    return [
        file
        for output in outputs
        for file in (sorted(output.rglob("*")) if output.is_dir() else [output])
        if file.is_file()
    ]


def source_fingerprint(module: str) -> str:
    """sha256 over what the files of a package or module do: comments and docstrings aside.

    A reworded docstring must not train an encoder again.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    digest = sha256()
    for file in files:
        digest.update(file.relative_to(origin.parent).as_posix().encode())
        digest.update(ast.dump(_without_docstrings(file)).encode())
    return digest.hexdigest()


def _without_docstrings(file: Path) -> ast.Module:
    tree = ast.parse(file.read_bytes())
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
