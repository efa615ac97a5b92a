"""Each worked example runs as a script, stays within fifteen lines, and learns what there is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted(
    path
    for path in Path(__file__).parent.glob("*.py")
    if path.name != "conftest.py" and not path.name.startswith("test_")
)


def test_all_examples_are_here() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "essay_scoring",
        "multilingual_battles",
        "question_pairs",
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 15
    runpy.run_path(str(path), run_name="__main__")
    assert float(capsys.readouterr().out) > 0.85
