"""Which changes to the project's sources make which stages anew."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines.run.code import closure, code_fingerprint

ROOTS = {
    stage: [f"pipelines.run.stages.{stage}"]
    for stage in ("battles", "folds", "extra", "kernel", "search", "blend", "metrics", "curve")
} | {"text": ["pipelines.run.stages.signal", "featlab.signals.text"]}

EDITS = """
import json, sys
from pathlib import Path
from pipelines.run.code import closure, code_fingerprint

roots = json.loads(sys.argv[1])
def fingerprints():
    return {stage: code_fingerprint(names) for stage, names in roots.items()}

closures = {stage: closure(names) for stage, names in roots.items()}
before = fingerprints()
for file in Path().rglob("*.py"):
    reworded = file.read_text().replace('\"\"\"', '\"\"\"Reworded. ', 1)
    file.write_text("# A comment.\\n" + reworded + "\\n# Another.\\n")
same = fingerprints() == before
changed = {}
for module in [*closures["text"][::4], *sys.argv[2:]]:
    file = Path(module.replace(".", "/") + ".py")
    file.write_text(file.read_text() + "\\n_ADDED = 1\\n")
    after = fingerprints()
    changed[module] = [stage for stage in roots if after[stage] != before[stage]]
    before = after
print(json.dumps([closures, same, changed]))
"""
METRICS, TABLE, NEWLINES = (
    "models.evaluation.metrics",
    "models.stacking.table",
    "featlab.features.newlines",
)


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, bool, dict]:
    """Stage -> closure; whether rewording changed nothing; module -> stages that its edit changed.

    Of a copy of the project, in a process of its own.
    """
    folder, project = tmp_path_factory.mktemp("copy"), Path(pipelines.__file__).parents[1]
    for package in ("featlab", "models", "pipelines"):
        shutil.copytree(project / package, folder / package)
    result = subprocess.run(
        [sys.executable, "-c", EDITS, json.dumps(ROOTS), METRICS, TABLE, NEWLINES],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return tuple(json.loads(result.stdout))


def test_a_statement_changes_exactly_the_stages_whose_closure_holds_its_module(edited) -> None:
    closures, _, changed = edited
    assert len(changed) > 10
    for module, stages in changed.items():
        assert stages == [stage for stage in ROOTS if module in closures[stage]], module


def test_comments_and_docstrings_change_nothing(edited) -> None:
    assert edited[1]


def test_what_measures_or_stacks_trains_no_signal_again(edited) -> None:
    changed = edited[2]
    assert set(changed[METRICS]) == {"metrics", "curve"}
    assert not {"text", "battles", "folds"} & set(changed[TABLE])
    assert "text" in changed[NEWLINES]
    assert "kernel" not in changed[NEWLINES]


FIRST = '"""One."""\n\n\ndef double(x):\n    """Twice."""\n    return 2 * x  # twice\n'


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (FIRST.replace("One.", "Another one."), True),
        (FIRST.replace("Twice.", "Two times."), True),
        (FIRST.replace("  # twice", ""), True),
        (FIRST.replace("    return", "\n    return"), True),
        (FIRST.replace("2 * x", "3 * x"), False),
        (FIRST.replace("double", "twice"), False),
        (FIRST.replace("x)", "x, y=1)"), False),
    ],
)
def test_only_what_a_module_does_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, same: bool
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for source in (FIRST, changed):
        (tmp_path / "made_up_module.py").write_text(source)
        found.append(code_fingerprint(["made_up_module"]))
    assert (found[0] == found[1]) is same


def test_names_handed_on_lead_to_the_module_that_defines_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    sources = {
        "made_up/__init__.py": "from made_up.one import one as first\nfrom .two import two\n",
        "made_up/one.py": "def one():\n    from . import three\n",
        "made_up/two.py": "import json\nimport featlab.errors\ntwo = 2\n",
        "made_up/three.py": "",
        "uses_it.py": "from made_up import first\n",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    packages = ("made_up", "featlab")
    assert closure(["uses_it"], packages) == ["made_up.one", "made_up.three", "uses_it"]
    assert closure(["made_up.two"]) == ["featlab.errors", "made_up.two"]
    assert closure(["uses_it"]) == ["uses_it"]
