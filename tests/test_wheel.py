"""What ``pip install`` brings: a small wheel, of featlab alone, that is imported at once."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 0.05

IMPORTED = """
import sys, time
start = time.perf_counter()
import featlab
print(time.perf_counter() - start)
# The names load what they need when they are first used: scikit-learn, which takes its own time.
featlab.TextFeatures, featlab.PairFeatures, featlab.BattleFeatures, featlab.TextEmbedder
print(sorted({"torch", "transformers", "lightgbm", "optuna", "matplotlib"} & set(sys.modules)))
"""

ALONE = """
import importlib.util, sys
assert importlib.util.find_spec("models") is None
assert importlib.util.find_spec("pipelines") is None
import featlab, polars
assert featlab.__file__.startswith(sys.argv[1]), featlab.__file__
frame = polars.DataFrame({"text": ["one two"]})
print(featlab.TextFeatures().fit_transform(frame)["text__words"].item())
from featlab.generated import generate_battles
assert generate_battles(3, seed=1).train.height == 3
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)),
            str(ROOT),
        ],
        check=True,
    )
    (built,) = folder.iterdir()
    return built


def test_it_is_small_and_holds_featlab_alone(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"featlab"}
    assert {"featlab/py.typed", "featlab/__init__.pyi"} <= set(names)
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "featlab").rglob("*.py")}
    assert sources <= set(names)


def test_it_works_alone(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--target", str(site), str(wheel)),
        ],
        check=True,
    )
    assert not {path.name for path in site.iterdir()} & {"models", "pipelines"}
    # The rest of site-packages stays within reach, the checkout does not.
    program = f"import sys; sys.path.insert(0, {str(site)!r})\n{ALONE}"
    result = subprocess.run(
        [sys.executable, "-I", "-c", program.replace("\nimport importlib", HIDDEN, 1), str(site)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "2"


# An editable installation of a checkout would find models and pipelines by its path entry.
HIDDEN = """
from pathlib import Path
sys.path = [entry for entry in sys.path if not (Path(entry) / "pipelines").is_dir()]
import importlib"""


def test_importing_is_quick_and_takes_no_torch() -> None:
    """The fastest of several tries, since machines are shared."""
    seconds = []
    for _ in range(5):
        result = subprocess.run(
            [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True
        )
        taken, heavy = result.stdout.splitlines()
        assert heavy == "[]"
        seconds.append(float(taken))
    assert min(seconds) < SECONDS
