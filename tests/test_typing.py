"""What `featlab` exports: typed for a checker, imported on use, and nothing private."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import featlab

ROOT = Path(__file__).parents[1]
FOR_A_USER = """
[mypy]
strict = True
[mypy-featlab.*]
follow_imports = silent
# Far from what is looked at here, and slow to read.
[mypy-pandas.*,sklearn.*,torch.*,transformers.*]
follow_imports = skip
"""

GOOD = {
    'featlab.TextFeatures("essay", families="newlines")': "featlab.transformers.texts.TextFeatures",
    'featlab.PairFeatures("q1", "q2").fit(None)': "featlab.transformers.pairs.PairFeatures",
    "featlab.BattleFeatures().parity()": "dict[str, featlab.parity.Parity]",
    "featlab.TextEmbedder().fit": "featlab.transformers.embedder.TextEmbedder",
    "featlab.BattleColumns().columns[0]": "featlab.columns.Column",
    "featlab.FEATURES[0]": "featlab.features.feature.Feature",
    'featlab.read_battles("train.csv")': "polars.lazyframe.frame.LazyFrame",
    "featlab.Kind.MARGIN": "featlab.columns.Kind.MARGIN",
}
BAD = {
    "featlab.TextFeatures(nonsense=1)": 'Unexpected keyword argument "nonsense"',
    'featlab.PairFeatures("q1")': 'Missing positional argument "second"',
    'featlab.BattleFeatures(texts="xml")': 'Argument "texts" to "BattleFeatures" has incompatible',
    "featlab.TextEmbedder(nonsense=1)": 'Unexpected keyword argument "nonsense"',
    'featlab.Feature("name", 1)': "incompatible type",
    "featlab.Signal()": "Cannot instantiate abstract class",
    "featlab.nonsense": "Module has no attribute",
}


@pytest.fixture(scope="module")
def told(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What mypy says of each line of one program."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("typing")
    (folder / "user.ini").write_text(FOR_A_USER)
    lines = ["import featlab", *(f"reveal_type(featlab.{name})" for name in featlab.__all__)]
    lines += [*(f"reveal_type({expression})" for expression in GOOD), *BAD]
    (folder / "program.py").write_text("\n".join(lines))
    assert pytestconfig.cache is not None
    options = ["--no-error-summary", "--hide-error-context", "--no-pretty", "--no-color-output"]
    options += ["--config-file", str(folder / "user.ini")]
    options += ["--cache-dir", str(pytestconfig.cache.mkdir("mypy"))]
    command = [sys.executable, "-m", "mypy", *options, str(folder / "program.py")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    said: dict[str, list[str]] = {line: [] for line in lines}
    for message in result.stdout.splitlines():
        number, _, text = message.partition("program.py:")[2].partition(": ")
        said[lines[int(number) - 1]].append(text)
    return said


def test_a_checker_sees_the_names_that_there_are() -> None:
    stub = ast.parse((ROOT / "featlab" / "__init__.pyi").read_text())
    seen = {
        name.asname for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert {*seen, "__version__"} == set(featlab.__all__)


@pytest.mark.parametrize("name", featlab.__all__)
def test_exported_names_have_their_types(told: dict[str, list[str]], name: str) -> None:
    (note,) = told[f"reveal_type(featlab.{name})"]
    assert note.startswith("note: Revealed type is")
    assert '"Any"' not in note


@pytest.mark.parametrize("expression", GOOD)
def test_good_use_passes(told: dict[str, list[str]], expression: str) -> None:
    (note,) = told[f"reveal_type({expression})"]
    assert note.startswith("note: Revealed type is")
    assert GOOD[expression] in note


@pytest.mark.parametrize("expression", BAD)
def test_wrong_use_is_an_error(told: dict[str, list[str]], expression: str) -> None:
    errors = [message for message in told[expression] if message.startswith("error: ")]
    assert any(BAD[expression] in error for error in errors), told[expression]


@pytest.mark.parametrize("name", [name for name in featlab.__all__ if name != "__version__"])
def test_exported_names_have_an_example(name: str) -> None:
    """Doctests run them; the tuple of features has that of its module."""
    value = getattr(featlab, name)
    home = value if value is not featlab.FEATURES else sys.modules["featlab.features.catalogue"]
    assert ">>>" in (home.__doc__ or "")


def test_names_are_imported_on_use_and_no_others_are_shown() -> None:
    program = """
import sys, featlab
assert dir(featlab) == sorted(featlab.__all__), dir(featlab)
assert not {"numpy", "polars", "sklearn", "typing"} & set(sys.modules), sorted(sys.modules)
assert [name for name in sys.modules if name.startswith("featlab.")] == []
for name in featlab.__all__:
    assert getattr(featlab, name) is getattr(featlab, name) is not None
assert not {"torch", "transformers", "lightgbm"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = featlab.nonsense  # type: ignore[attr-defined]
