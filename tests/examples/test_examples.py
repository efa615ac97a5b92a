"""Each worked example runs as a script, stays short, and learns what there is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted(
    path
    for path in Path(__file__).parent.glob("*.py")
    if path.name != "conftest.py" and not path.name.startswith("test_")
)


LINES = {
    "essay_scoring": 15,
    "kaggle_from_zero": 30,
    "multilingual_battles": 15,
    "own_feature_and_signal": 60,
    "question_pairs": 15,
    "reward_data": 20,
}


def test_all_examples_are_here() -> None:
    assert [path.stem for path in EXAMPLES] == list(LINES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= LINES[path.stem]
    runpy.run_path(str(path), run_name="__main__")
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0.85
