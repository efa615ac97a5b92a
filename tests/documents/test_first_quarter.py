"""A new user's first quarter of an hour: the README from top to bottom, as it is written.

Its files are written, its programs run and its commands are called, in the order
of the page, in a folder that holds nothing else. Installing is taken as done,
and every training is a short one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from featlab.generated import write_battles
from tests.documents.test_snippets import ROOT, resolved, run_in

BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
ELSEWHERE = ("make test", "make data", "make play")
"""They run the suite, need a network, or serve until they are ended."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the competition's files, and a labelled one."""
    write_battles(tmp_path / "data", 240, 12, seed=5)
    write_battles(tmp_path / "other", 120, 1, seed=6)
    (tmp_path / "other" / "train.csv").rename(tmp_path / "labelled.csv")
    return tmp_path


def test_the_readme_from_top_to_bottom(folder: Path) -> None:
    said = ""
    for language, block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        if name := re.match(r"# (\w+\.py)\n", block):
            (folder / name.group(1)).write_text(block)
        elif language == "python":
            said += run_in(folder, [sys.executable, "-c", block])
        else:
            for line in block.splitlines():
                if not line.startswith(ELSEWHERE):
                    said += call(folder, line.partition("  #")[0])
    for words in (
        "of the gap to the optimum",
        "Prediction(a=",
        "for A: ",
        "next:",
        "runs/mine",
        "setting features: ",
        "log_loss",
    ):
        assert words in said, said
    assert (folder / "submission.csv").is_file()
    assert (folder / "reasons.csv").is_file()
    assert (folder / "runs" / "default" / "report" / "index.html").is_file()


def call(folder: Path, line: str) -> str:
    """Run a console line, its training short."""
    said = ""
    for (module, *arguments), _ in resolved(line):
        short = ["fast" if word == "auto" else word for word in arguments]
        said += run_in(folder, [sys.executable, "-m", module.removesuffix(".__main__"), *short])
    return said
